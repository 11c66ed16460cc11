#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

/// What the compared policies are built from. Each policy is a class with `bool access(request)`,
/// which says whether the key was there and takes it in where it was not, and `name`.
namespace millrace::policies {

struct request {
  std::uint64_t key{0};
  /// Bytes, with everything that holding it costs.
  std::uint32_t size{256};
};

inline constexpr std::uint32_t nil = 0xffff'ffff;

struct entry {
  std::uint64_t key{0};
  std::uint32_t size{0};
  std::uint32_t prev{nil};
  std::uint32_t next{nil};
  std::uint8_t list{0};
  std::uint8_t count{0};
};

/// Entries by key, in a pool of their own.
class entries final {
public:
  entry& operator[](std::uint32_t at) { return pool_[at]; }

  std::uint32_t find(std::uint64_t key) const {
    const auto found = index_.find(key);
    return found == index_.end() ? nil : found->second;
  }

  std::uint32_t add(const request& what) {
    std::uint32_t at = 0;
    if (free_.empty()) {
      at = static_cast<std::uint32_t>(pool_.size());
      pool_.emplace_back();
    } else {
      at = free_.back();
      free_.pop_back();
    }
    pool_[at] = entry{.key = what.key, .size = what.size};
    index_.emplace(what.key, at);
    return at;
  }

  void remove(std::uint32_t at) {
    index_.erase(pool_[at].key);
    free_.push_back(at);
  }

  std::size_t size() const { return index_.size(); }

private:
  std::vector<entry> pool_;
  std::vector<std::uint32_t> free_;
  std::unordered_map<std::uint64_t, std::uint32_t> index_;
};

/// A list through the pool: new ones at the head, old ones at the tail.
class chain final {
public:
  chain(entries& pool, std::uint8_t id) : pool_(pool), id_(id) {}

  void push(std::uint32_t at) {
    entry& one = pool_[at];
    one.list = id_;
    one.prev = nil;
    one.next = head_;
    if (head_ != nil) pool_[head_].prev = at;
    head_ = at;
    if (tail_ == nil) tail_ = at;
    bytes_ += one.size;
  }

  void unlink(std::uint32_t at) {
    const entry& one = pool_[at];
    (one.prev == nil ? head_ : pool_[one.prev].next) = one.next;
    (one.next == nil ? tail_ : pool_[one.next].prev) = one.prev;
    bytes_ -= one.size;
  }

  std::uint32_t oldest() const { return tail_; }
  std::uint64_t bytes() const { return bytes_; }
  bool empty() const { return tail_ == nil; }

private:
  entries& pool_;
  std::uint8_t id_;
  std::uint32_t head_{nil};
  std::uint32_t tail_{nil};
  std::uint64_t bytes_{0};
};

}  // namespace millrace::policies
