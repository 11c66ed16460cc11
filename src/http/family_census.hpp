#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>
#include <millrace/cache/shared_cache.hpp>
#include <millrace/http/cache_codec.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace millrace::http {

/// What the store holds of each family.
struct family_counts {
  /// Empty name: keys of none.
  std::map<std::string, family_count, std::less<>> of;
  /// More keys than were looked at: these are shares of them, of all there are.
  bool estimated{false};
};

/// Counts, by a walk over the keys, what the store holds of each family: nobody keeps count of it.
///
/// Threading: from any thread.
/// Cost:      a round trip for every 1000 keys, at most `pages_max`; of a large cache once in
///            `good_for`, and the same is given meanwhile.
class family_census final {
public:
  static constexpr std::size_t pages_max = 20;
  static constexpr std::size_t page_keys = 1000;
  static constexpr std::chrono::seconds good_for{30};

  /// `entries`: how many the store has, as it said just now.
  [[nodiscard]] awaitable<result<family_counts>> count(const cache::shared_cache& of,
                                                       std::string project, std::uint64_t entries);

private:
  [[nodiscard]] static awaitable<result<family_counts>> walk(const cache::shared_cache& of,
                                                             std::string project,
                                                             std::uint64_t entries);

  std::mutex held_;
  family_counts last_;
  std::chrono::steady_clock::time_point taken_{};
};

}  // namespace millrace::http
