#pragma once

#include "entries.hpp"

namespace millrace::policies {

/// Least recently used: what everybody has, and the line that the others have to pass.
class lru final {
public:
  static constexpr const char* name = "LRU";

  explicit lru(std::uint64_t capacity) : capacity_(capacity) {}

  bool access(const request& what) {
    if (const std::uint32_t at = all_.find(what.key); at != nil) {
      order_.unlink(at);
      order_.push(at);
      return true;
    }
    if (what.size > capacity_) return false;
    while (order_.bytes() + what.size > capacity_) {
      const std::uint32_t victim = order_.oldest();
      order_.unlink(victim);
      all_.remove(victim);
    }
    order_.push(all_.add(what));
    return false;
  }

private:
  std::uint64_t capacity_;
  entries all_;
  chain order_{all_, 0};
};

}  // namespace millrace::policies
