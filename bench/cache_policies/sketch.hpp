#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace millrace::policies {

inline std::uint64_t mixed(std::uint64_t key) {
  key ^= key >> 32;
  key *= 0xd6e8feb86659fd93ULL;
  key ^= key >> 32;
  key *= 0xd6e8feb86659fd93ULL;
  return key ^ (key >> 32);
}

/// How often keys were asked for lately: 4-bit counters, four a key within one cache line; all are
/// halved after ten times as many steps as there are entries.
class sketch final {
public:
  void fit(std::size_t keys) {
    const std::size_t lines = std::bit_ceil(std::max<std::size_t>(8, keys)) / 8;
    if (lines * 8 <= words_.size()) return;
    words_.assign(lines * 8, 0);
    sample_ = 10 * lines * 8;
    steps_ = 0;
  }

  void add(std::uint64_t key) {
    const std::uint64_t hash = mixed(key);
    bool grew = false;
    for (unsigned row = 0; row < 4; ++row) {
      std::uint64_t& word = words_[word_of(hash, row)];
      const unsigned shift = shift_of(hash, row);
      if (((word >> shift) & 15) == 15) continue;
      word += std::uint64_t{1} << shift;
      grew = true;
    }
    if (!grew || ++steps_ < sample_) return;
    for (std::uint64_t& word : words_) word = (word >> 1) & 0x7777'7777'7777'7777ULL;
    steps_ /= 2;
  }

  unsigned count(std::uint64_t key) const {
    const std::uint64_t hash = mixed(key);
    std::uint64_t least = 15;
    for (unsigned row = 0; row < 4; ++row) {
      least = std::min(least, (words_[word_of(hash, row)] >> shift_of(hash, row)) & 15);
    }
    return static_cast<unsigned>(least);
  }

private:
  std::size_t word_of(std::uint64_t hash, unsigned row) const {
    const std::size_t line = (hash & (words_.size() / 8 - 1)) * 8;
    return line + row * 2 + ((hash >> (32 + row * 8)) & 1);
  }
  static unsigned shift_of(std::uint64_t hash, unsigned row) {
    return static_cast<unsigned>((hash >> (33 + row * 8)) & 15) * 4;
  }

  std::vector<std::uint64_t> words_ = std::vector<std::uint64_t>(8, 0);
  std::size_t sample_{80};
  std::size_t steps_{0};
};

}  // namespace millrace::policies
