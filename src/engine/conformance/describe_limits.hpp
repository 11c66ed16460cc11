#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/engine/limit_steps.hpp>

#include <string>

/// The part of `describer` that is about who is shut out. Where pages end is each engine's own.
namespace millrace::conformance {

[[nodiscard]] std::string describe(const engine::limit_block_page& page, timestamp start);

}  // namespace millrace::conformance
