#pragma once

#include "entries.hpp"

#include <algorithm>
#include <deque>
#include <unordered_map>

namespace millrace::policies {

/// Who fills a main queue that has room: only those asked for again, as published, or also what the
/// small queue would drop. The latter keeps a part of a loop longer than the cache, where the
/// former keeps nothing.
enum class main_filling : std::uint8_t { proven, any };

/// S3-FIFO: a small queue that filters what is asked for once, a main queue with second chances,
/// and a memory of keys that left the small queue. Source: Yang et al., "FIFO Queues are All You
/// Need for Cache Eviction", SOSP 2023.
template <main_filling Filling>
class s3_queues final {
public:
  static constexpr const char* name = Filling == main_filling::any ? "S3-FIFO filled" : "S3-FIFO";

  explicit s3_queues(std::uint64_t capacity)
      : capacity_(capacity), small_max_(std::max<std::uint64_t>(1, capacity / 10)) {}

  bool access(const request& what) {
    if (const std::uint32_t at = all_.find(what.key); at != nil) {
      all_[at].count = static_cast<std::uint8_t>(std::min(3, all_[at].count + 1));
      return true;
    }
    if (what.size > capacity_) return false;
    while (small_.bytes() + main_.bytes() + what.size > capacity_) evict();
    const bool known = ghosts_.contains(what.key);
    const std::uint32_t at = all_.add(what);
    (known ? main_ : small_).push(at);
    return false;
  }

private:
  void evict() {
    if (small_.bytes() >= small_max_ || main_.empty()) {
      evict_small();
    } else {
      evict_main();
    }
  }

  void evict_small() {
    while (!small_.empty()) {
      const std::uint32_t at = small_.oldest();
      small_.unlink(at);
      if (all_[at].count > 1) {
        all_[at].count = 0;
        main_.push(at);
        if (main_.bytes() > capacity_ - small_max_) evict_main();
        continue;
      }
      if (Filling == main_filling::any &&
          main_.bytes() + all_[at].size <= (capacity_ - small_max_) / 16 * 15) {
        all_[at].count = 0;
        main_.push(at);
        continue;
      }
      remember(all_[at].key);
      all_.remove(at);
      return;
    }
  }

  void evict_main() {
    while (!main_.empty()) {
      const std::uint32_t at = main_.oldest();
      main_.unlink(at);
      if (all_[at].count == 0) {
        all_.remove(at);
        return;
      }
      --all_[at].count;
      main_.push(at);
    }
  }

  void remember(std::uint64_t key) {
    ++ghosts_[key];
    ghost_order_.push_back(key);
    // As many keys as entries are held.
    while (ghost_order_.size() > std::max<std::size_t>(16, all_.size())) {
      const auto oldest = ghosts_.find(ghost_order_.front());
      if (oldest != ghosts_.end() && --oldest->second == 0) ghosts_.erase(oldest);
      ghost_order_.pop_front();
    }
  }

  std::uint64_t capacity_;
  std::uint64_t small_max_;
  entries all_;
  chain small_{all_, 0};
  chain main_{all_, 1};
  std::unordered_map<std::uint64_t, std::uint32_t> ghosts_;
  std::deque<std::uint64_t> ghost_order_;
};

using s3_fifo = s3_queues<main_filling::proven>;
using s3_fifo_filled = s3_queues<main_filling::any>;

}  // namespace millrace::policies
