#pragma once

#include "text_hash.hpp"

#include <millrace/cache/access_stats.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace millrace::cache {

/// The most used keys of a stream in bounded memory: a key that is not known takes the place, and
/// the count, of the least used one.
/// Source: Metwally et al., "Efficient Computation of Frequent and Top-k Elements", ICDT 2005
///         (Space-Saving).
class access_stats::key_counts final {
public:
  /// Ten times as many as are named: those at the end come and go.
  static constexpr std::size_t kept = 10 * top_keys_max;

  /// Not counted where another thread is counting: one of many samples.
  void add(std::size_t family, std::string_view key, std::uint64_t weight) {
    const std::unique_lock lock(held_, std::try_to_lock);
    if (!lock) return;
    const auto found = places_.find(key);
    if (found != places_.end()) {
      heap_[found->second].count += weight;
      sink(found->second);
      return;
    }
    if (heap_.size() < kept) {
      const auto fresh = places_.emplace(std::string(key), heap_.size()).first;
      heap_.push_back({fresh->first, family, weight, 0});
      rise(heap_.size() - 1);
      return;
    }
    entry& least = heap_.front();
    places_.erase(places_.find(least.key));
    const auto fresh = places_.emplace(std::string(key), 0).first;
    least = {fresh->first, family, least.count + weight, least.count};
    sink(0);
  }

  [[nodiscard]] std::vector<used_key> top(std::size_t count) const {
    std::vector<used_key> made;
    {
      const std::scoped_lock lock(held_);
      made.reserve(heap_.size());
      for (const entry& one : heap_) {
        made.push_back({std::string(one.key), one.family, one.count, one.error});
      }
    }
    std::ranges::sort(made, [](const used_key& a, const used_key& b) {
      return a.count != b.count ? a.count > b.count : a.key < b.key;
    });
    if (made.size() > count) made.resize(count);
    return made;
  }

  void halve() {
    const std::scoped_lock lock(held_);
    // The order of the heap stays as it was.
    for (entry& one : heap_) {
      one.count /= 2;
      one.error /= 2;
    }
  }

  void clear() {
    const std::scoped_lock lock(held_);
    heap_.clear();
    places_.clear();
  }

private:
  struct hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return text_hash(text, 1); }
  };
  // The key lies in the map, whose nodes do not move.
  struct entry {
    std::string_view key;
    std::size_t family{0};
    std::uint64_t count{0};
    std::uint64_t error{0};
  };

  void swap_places(std::size_t a, std::size_t b) {
    std::swap(heap_[a], heap_[b]);
    places_.find(heap_[a].key)->second = a;
    places_.find(heap_[b].key)->second = b;
  }

  void sink(std::size_t at) {
    while (true) {
      std::size_t least = at;
      for (const std::size_t child : {2 * at + 1, 2 * at + 2}) {
        if (child < heap_.size() && heap_[child].count < heap_[least].count) least = child;
      }
      if (least == at) return;
      swap_places(at, least);
      at = least;
    }
  }

  void rise(std::size_t at) {
    while (at > 0 && heap_[at].count < heap_[(at - 1) / 2].count) {
      swap_places(at, (at - 1) / 2);
      at = (at - 1) / 2;
    }
  }

  mutable std::mutex held_;
  // The least used one first.
  std::vector<entry> heap_;
  std::unordered_map<std::string, std::size_t, hash, std::equal_to<>> places_;
};

}  // namespace millrace::cache
