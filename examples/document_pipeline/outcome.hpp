#pragma once

#include <chrono>
#include <expected>
#include <optional>
#include <string>
#include <utility>

namespace pipeline {

/// Why a file could not be processed, in the words of the queue: a permanent failure becomes a dead
/// letter at once, any other is tried again.
struct failure {
  std::string reason;
  bool permanent{true};
  std::optional<std::chrono::milliseconds> retry_in{};
};

template <class T>
using outcome = std::expected<T, failure>;

/// Nothing will make this file readable.
[[nodiscard]] inline std::unexpected<failure> unreadable(std::string reason) {
  return std::unexpected(failure{std::move(reason), true, std::nullopt});
}

/// The file may be readable later.
[[nodiscard]] inline std::unexpected<failure> not_yet(std::string reason,
                                                      std::chrono::milliseconds retry_in) {
  return std::unexpected(failure{std::move(reason), false, retry_in});
}

}  // namespace pipeline
