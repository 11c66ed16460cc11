#pragma once

#include <millrace/base/assert.hpp>

#include <cstddef>
#include <utility>
#include <vector>

namespace millrace::redis {

/// A queue with two ends over one block of memory that grows and is kept: std::deque allocates for
/// every three requests.
template <class T>
class ring final {
public:
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] T& operator[](std::size_t at) noexcept { return slots_[index(at)]; }
  [[nodiscard]] T& front() noexcept { return slots_[first_]; }

  void push_back(T value) {
    if (size_ == slots_.size()) grow();
    slots_[index(size_)] = std::move(value);
    ++size_;
  }
  void push_front(T value) {
    if (size_ == slots_.size()) grow();
    first_ = (first_ + slots_.size() - 1) & (slots_.size() - 1);
    slots_[first_] = std::move(value);
    ++size_;
  }
  [[nodiscard]] T pop_front() {
    MILLRACE_ASSERT(size_ > 0);
    T value = std::exchange(slots_[first_], T{});
    first_ = (first_ + 1) & (slots_.size() - 1);
    --size_;
    return value;
  }
  void drop_front() {
    MILLRACE_ASSERT(size_ > 0);
    slots_[first_] = T{};
    first_ = (first_ + 1) & (slots_.size() - 1);
    --size_;
  }

private:
  static constexpr std::size_t first_block = 16;

  [[nodiscard]] std::size_t index(std::size_t at) const noexcept {
    return (first_ + at) & (slots_.size() - 1);
  }
  // The size stays a power of two.
  void grow() {
    std::vector<T> wider(slots_.empty() ? first_block : slots_.size() * 2);
    for (std::size_t i = 0; i < size_; ++i) wider[i] = std::move(slots_[index(i)]);
    slots_ = std::move(wider);
    first_ = 0;
  }

  std::vector<T> slots_;
  std::size_t first_{0};
  std::size_t size_{0};
};

}  // namespace millrace::redis
