#pragma once

#include "live_table.hpp"

#include <millrace/engine/lock_rules.hpp>

/// A lock as a row of `live`. One that a single token holds, and nobody waits for, is its token and
/// owner; any other begins with an empty token.
namespace millrace::embedded {

[[nodiscard]] live_key lock_row_key(const engine::lock_key& key);

/// Requires: not empty.
[[nodiscard]] live_row to_row(const engine::lock_state& state, timestamp now);

/// False where it is no such row.
[[nodiscard]] bool read_row(const live_row& row, engine::lock_state& into);

}  // namespace millrace::embedded
