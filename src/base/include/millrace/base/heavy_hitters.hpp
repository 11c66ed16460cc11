#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace millrace {

/// One of the most frequent keys of a stream.
struct heavy_hitter {
  std::string key;
  /// What the caller wanted to know of it when it came.
  std::size_t tag{0};
  /// At most `error` too many.
  std::uint64_t count{0};
  std::uint64_t error{0};
  /// How much of what came since the key is known was marked.
  std::uint64_t marked{0};
};

/// The most frequent keys of a stream in bounded memory: a key that is not known takes the place,
/// and the count, of the least frequent one.
///
/// Guarantees: a key with more than 1/`kept` of all weight is among those kept.
/// Threading:  every member from any thread. `add` leaves out what comes while another thread is
///             within.
/// Cost:       O(log kept); two allocations for a key that is not known.
/// Source:     Metwally et al., "Efficient Computation of Frequent and Top-k Elements", ICDT 2005
///             (Space-Saving).
class heavy_hitters final {
public:
  /// `kept`: ten times as many as are to be named; those at the end come and go.
  explicit heavy_hitters(std::size_t kept);

  /// `marked`: counts as such besides.
  void add(std::string_view key, std::uint64_t weight, std::size_t tag = 0, bool marked = false);
  /// The most frequent first, at most so many.
  [[nodiscard]] std::vector<heavy_hitter> top(std::size_t count) const;
  /// Counts for half from now on.
  void halve();
  void clear();

private:
  struct hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };
  // The key lies in the map, whose nodes do not move.
  struct entry {
    std::string_view key;
    std::size_t tag{0};
    std::uint64_t count{0};
    std::uint64_t error{0};
    std::uint64_t marked{0};
  };

  void swap_places(std::size_t a, std::size_t b);
  void sink(std::size_t at);
  void rise(std::size_t at);

  std::size_t kept_;
  mutable std::mutex held_;
  // The least frequent one first.
  std::vector<entry> heap_;
  std::unordered_map<std::string, std::size_t, hash, std::equal_to<>> places_;
};

}  // namespace millrace
