#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace millrace::cli {

/// The candidate that was most likely meant: the nearest by insertions, deletions, replacements and
/// swaps of neighbours, where it is near enough (a third of its length, at least one). Case does
/// not count.
[[nodiscard]] std::optional<std::string_view> nearest(std::string_view typed,
                                                      std::span<const std::string_view> candidates);

}  // namespace millrace::cli
