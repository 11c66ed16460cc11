#pragma once

#include "entries.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace millrace::policies {

/// Requests in a pattern that caches meet, the same for the same seed.
struct trace {
  std::string_view name;
  std::string_view shape;
  std::vector<request> requests;
};

[[nodiscard]] std::vector<trace> make_traces(std::size_t requests, std::uint64_t seed);

}  // namespace millrace::policies
