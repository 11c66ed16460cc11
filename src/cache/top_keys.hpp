#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace millrace::cache {

/// Which keys are used most often, in bounded memory (Misra and Gries, 1982: when there are too
/// many, the rare ones go and what the frequent ones have above them stays).
///
/// Guarantees: a key that is more than one in `kept` of all uses is among them.
/// Threading:  every member from any thread.
/// Cost:       O(1) amortised.
class top_keys final {
public:
  explicit top_keys(std::size_t kept) : kept_(kept) {}

  void count(std::string_view key);
  /// The most frequent first; equal ones by key.
  [[nodiscard]] std::vector<std::pair<std::string, std::uint64_t>> top(std::size_t most) const;

private:
  struct hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };

  void thin_out();

  const std::size_t kept_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::uint64_t, hash, std::equal_to<>> counts_;
};

}  // namespace millrace::cache
