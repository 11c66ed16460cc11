#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>
#include <millrace/engine/store.hpp>

#include <optional>

namespace millrace {

/// Everything of one correlation id, a page of it.
struct correlated {
  /// As it is now, on every page.
  std::optional<engine::progress_entry> progress;
  engine::list_correlated::page what;
};

/// What belongs to a request: its progress, jobs and events, the newest first.
///
/// Errors:   malformed (bad_cursor); those of the store.
/// Lifetime: the store must outlive the call.
/// Cost:     two round trips to the store.
[[nodiscard]] awaitable<result<correlated>> read_correlated(engine::store& store,
                                                            engine::list_correlated asked);

}  // namespace millrace
