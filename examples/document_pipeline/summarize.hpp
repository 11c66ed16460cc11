#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pipeline {

struct summary {
  std::size_t words{0};
  std::size_t sentences{0};
  /// The most telling sentences, in the order of the text; at most 400 bytes together.
  std::string text;
  /// The most frequent terms that carry meaning, with their counts; most frequent first.
  std::vector<std::pair<std::string, std::size_t>> terms;
};

/// An extractive summary: sentences are weighed by the frequency of the terms in them, normalised
/// by length, early sentences a little more (Luhn 1958, with a position prior).
[[nodiscard]] summary summarize(std::string_view text);

}  // namespace pipeline
