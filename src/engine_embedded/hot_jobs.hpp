#pragma once

#include <millrace/engine/job.hpp>

#include <boost/container/deque.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

namespace millrace::embedded {

/// What was asked for with jobs that were made lately and have not run yet, so that handing them
/// out reads nothing from the disk. Only plain jobs are kept: what has labels, options, a unique
/// key or a group is read from its rows. Bounded by bytes: what comes when it is full is not kept,
/// since what came first is handed out first.
class hot_jobs final {
public:
  /// What of a plain job is in no other place of memory.
  struct entry {
    std::string type;
    std::string data;
    std::string correlation_id;
    timestamp created_at{};
    engine::durability level{engine::durability::durable};
  };

  explicit hot_jobs(std::size_t bytes_max) noexcept : bytes_max_(bytes_max) {}

  /// Requires: ids grow.
  void put(std::uint64_t id, const engine::job& made) {
    if (bytes_ >= bytes_max_) drop_empty_places();
    if (bytes_ >= bytes_max_ || !is_plain(made.spec)) return;
    const engine::job_spec& spec = made.spec;
    places_.push_back({id,
                       true,
                       {.type = spec.type,
                        .data = spec.data,
                        .correlation_id = spec.correlation_id,
                        .created_at = made.created_at,
                        .level = made.level}});
    bytes_ += bytes_of(places_.back());
  }

  [[nodiscard]] std::optional<entry> take(std::uint64_t id) {
    const auto at = std::ranges::lower_bound(places_, id, {}, &place::id);
    if (at == places_.end() || at->id != id || !at->filled) return std::nullopt;
    std::optional<entry> out(std::move(at->what));
    at->filled = false;
    ++empty_;
    while (!places_.empty() && !places_.front().filled) {
      bytes_ -= sizeof(place);
      --empty_;
      places_.pop_front();
    }
    bytes_ -= heap_bytes_of(*out);
    return out;
  }

  void clear() noexcept {
    places_.clear();
    bytes_ = 0;
    empty_ = 0;
  }

private:
  // In the order of ids; jobs that were taken leave an empty place until those before are taken
  // too.
  struct place {
    std::uint64_t id;
    bool filled;
    entry what;
  };

  [[nodiscard]] static bool is_plain(const engine::job_spec& spec) {
    const static engine::job_spec normal;
    return spec.labels.empty() && !spec.unique && spec.group.empty() && spec.traceparent.empty() &&
           spec.key_id.empty() && spec.codec == normal.codec && spec.lease == normal.lease &&
           spec.timeout == normal.timeout && spec.backoff == normal.backoff;
  }
  [[nodiscard]] static std::size_t heap_bytes_of(const entry& what) noexcept {
    return what.type.size() + what.data.size() + what.correlation_id.size();
  }
  [[nodiscard]] static std::size_t bytes_of(const place& what) noexcept {
    return sizeof(place) + heap_bytes_of(what.what);
  }

  // A job that nobody takes keeps the empty places behind it: they go when they are most of all.
  void drop_empty_places() {
    if (empty_ * 2 < places_.size()) return;
    const auto gone = std::ranges::remove_if(places_, std::logical_not<>{}, &place::filled);
    places_.erase(gone.begin(), gone.end());
    bytes_ -= empty_ * sizeof(place);
    empty_ = 0;
  }

  std::size_t bytes_max_;
  std::size_t bytes_{0};
  std::size_t empty_{0};
  // Blocks of many places, so that a place costs no allocation of its own.
  boost::container::deque<place, void,
                          boost::container::deque_options<boost::container::block_size<64U>>::type>
      places_;
};

}  // namespace millrace::embedded
