#pragma once

#include <source_location>

namespace millrace {

/// Prints the broken invariant with its place and ends the process.
[[noreturn]] void assertion_failed(const char* expression,
                                   std::source_location where = std::source_location::current());

}  // namespace millrace

/// A broken invariant is a defect of ours: always checked, in every build, and it ends the process.
/// Never for input, files or peers; those get an `error`.
#define MILLRACE_ASSERT(expression) \
  (static_cast<bool>(expression) ? void(0) : ::millrace::assertion_failed(#expression))
