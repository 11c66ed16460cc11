#pragma once

#include "climber.hpp"
#include "entries.hpp"
#include "sketch.hpp"

namespace millrace::policies {

/// Adaptive W-TinyLFU: a window in LRU order, a main space in two segments, and a sketch of
/// frequencies that decides who enters it.
/// Source: Einziger et al., "TinyLFU", ToS 2017, and "Adaptive Software Cache Management", 2018.
class w_tiny_lfu final {
public:
  static constexpr const char* name = "W-TinyLFU";

  explicit w_tiny_lfu(std::uint64_t capacity) : capacity_(capacity) {}

  bool access(const request& what) {
    sketch_.add(what.key);
    const std::uint32_t at = all_.find(what.key);
    window_share_.count(at != nil, all_.size());
    if (at != nil) {
      touch(at);
      return true;
    }
    if (what.size > capacity_) return false;
    window_.push(all_.add(what));
    sketch_.fit(all_.size());
    while (window_.bytes() > window_max() && !window_.empty()) {
      const std::uint32_t candidate = window_.oldest();
      window_.unlink(candidate);
      probation_.push(candidate);
      if (bytes() > capacity_) contest(candidate);
    }
    while (bytes() > capacity_) drop(probation_.empty() ? protected_ : probation_);
    return false;
  }

private:
  std::uint64_t bytes() const { return window_.bytes() + probation_.bytes() + protected_.bytes(); }
  std::uint64_t window_max() const {
    return static_cast<std::uint64_t>(window_share_.share() * static_cast<double>(capacity_));
  }

  void touch(std::uint32_t at) {
    if (all_[at].list == 0) {
      window_.unlink(at);
      window_.push(at);
      return;
    }
    (all_[at].list == 1 ? probation_ : protected_).unlink(at);
    protected_.push(at);
    const auto most =
        static_cast<std::uint64_t>(0.8 * static_cast<double>(capacity_ - window_max()));
    while (protected_.bytes() > most) {
      const std::uint32_t oldest = protected_.oldest();
      protected_.unlink(oldest);
      probation_.push(oldest);
    }
  }

  // The newcomer has to be asked for more often than each of those that make room for it.
  void contest(std::uint32_t candidate) {
    while (bytes() > capacity_) {
      chain& from = probation_.oldest() == candidate ? protected_ : probation_;
      const std::uint32_t victim = from.oldest();
      if (victim == nil || sketch_.count(all_[candidate].key) <= sketch_.count(all_[victim].key)) {
        probation_.unlink(candidate);
        all_.remove(candidate);
        return;
      }
      from.unlink(victim);
      all_.remove(victim);
    }
  }

  void drop(chain& from) {
    const std::uint32_t victim = from.oldest();
    from.unlink(victim);
    all_.remove(victim);
  }

  std::uint64_t capacity_;
  entries all_;
  chain window_{all_, 0};
  chain probation_{all_, 1};
  chain protected_{all_, 2};
  sketch sketch_;
  climber window_share_{0.01, 0.005, 0.8};
};

}  // namespace millrace::policies
