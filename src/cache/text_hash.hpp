#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace millrace::cache {

// The upper and the lower half of a product, folded: every bit of both factors reaches every bit.
[[nodiscard]] inline std::uint64_t folded_product(std::uint64_t a, std::uint64_t b) noexcept {
  const auto wide = static_cast<unsigned __int128>(a) * b;
  return static_cast<std::uint64_t>(wide) ^ static_cast<std::uint64_t>(wide >> 64);
}

/// A fast hash of a text for tables in memory. Whoever does not know the seed cannot choose keys
/// that collide.
[[nodiscard]] inline std::uint64_t text_hash(std::string_view text, std::uint64_t seed) noexcept {
  constexpr std::uint64_t first = 0xa076'1d64'78bd'642fULL;
  constexpr std::uint64_t second = 0xe703'7ed1'a0b4'28dbULL;
  std::uint64_t state = seed ^ first;
  const char* at = text.data();
  std::size_t left = text.size();
  while (left > 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, 8);
    state = folded_product(state ^ word, second);
    at += 8;
    left -= 8;
  }
  std::uint64_t word = 0;
  if (text.size() >= 8) {
    // The last eight bytes, some of them once more: no loop over single ones.
    std::memcpy(&word, text.data() + text.size() - 8, 8);
  } else if (left > 0) {
    std::memcpy(&word, at, left);
  }
  return folded_product(state ^ word, first ^ text.size());
}

}  // namespace millrace::cache
