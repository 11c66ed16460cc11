#pragma once

#include "entries.hpp"

namespace millrace::policies {

/// SIEVE: one queue whose hand clears marks and evicts the first unmarked; nothing moves on a hit.
/// Source: Zhang et al., "SIEVE is Simpler than LRU", NSDI 2024.
class sieve final {
public:
  static constexpr const char* name = "SIEVE";

  explicit sieve(std::uint64_t capacity) : capacity_(capacity) {}

  bool access(const request& what) {
    if (const std::uint32_t at = all_.find(what.key); at != nil) {
      all_[at].count = 1;
      return true;
    }
    if (what.size > capacity_) return false;
    while (order_.bytes() + what.size > capacity_) evict();
    order_.push(all_.add(what));
    return false;
  }

private:
  void evict() {
    std::uint32_t at = hand_ == nil ? order_.oldest() : hand_;
    while (all_[at].count != 0) {
      all_[at].count = 0;
      at = all_[at].prev;
      if (at == nil) at = order_.oldest();
    }
    hand_ = all_[at].prev;
    order_.unlink(at);
    all_.remove(at);
  }

  std::uint64_t capacity_;
  entries all_;
  chain order_{all_, 0};
  std::uint32_t hand_{nil};
};

}  // namespace millrace::policies
