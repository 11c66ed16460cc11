#pragma once

#include <millrace/base/assert.hpp>

#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

namespace millrace::redis {

/// A queue with two ends over one block of memory that grows and is kept: std::deque allocates for
/// every three requests.
template <class T>
class ring final {
public:
  static_assert(std::is_nothrow_move_constructible_v<T>);

  ring() = default;
  ~ring() {
    while (!empty()) drop_front();
    free_block();
  }
  ring(const ring&) = delete;
  ring& operator=(const ring&) = delete;

  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] T& operator[](std::size_t at) noexcept { return slots_[index(at)]; }
  [[nodiscard]] T& front() noexcept { return slots_[first_]; }

  void push_back(T&& value) {
    if (size_ == capacity_) grow();
    std::construct_at(slots_ + index(size_), std::move(value));
    ++size_;
  }
  void push_front(T&& value) {
    if (size_ == capacity_) grow();
    first_ = (first_ + capacity_ - 1) & (capacity_ - 1);
    std::construct_at(slots_ + first_, std::move(value));
    ++size_;
  }
  [[nodiscard]] T pop_front() {
    T value = std::move(front());
    drop_front();
    return value;
  }
  void drop_front() {
    MILLRACE_ASSERT(size_ > 0);
    std::destroy_at(slots_ + first_);
    first_ = (first_ + 1) & (capacity_ - 1);
    --size_;
  }

private:
  static constexpr std::size_t first_block = 16;

  [[nodiscard]] std::size_t index(std::size_t at) const noexcept {
    return (first_ + at) & (capacity_ - 1);
  }
  // The size stays a power of two.
  void grow() {
    const std::size_t wider = capacity_ == 0 ? first_block : capacity_ * 2;
    T* const slots = std::allocator<T>().allocate(wider);
    for (std::size_t i = 0; i < size_; ++i) {
      T& from = slots_[index(i)];
      std::construct_at(slots + i, std::move(from));
      std::destroy_at(&from);
    }
    free_block();
    slots_ = slots;
    capacity_ = wider;
    first_ = 0;
  }
  void free_block() noexcept {
    if (slots_ != nullptr) std::allocator<T>().deallocate(slots_, capacity_);
  }

  // Only the `size_` from `first_` on hold something.
  T* slots_{nullptr};
  std::size_t capacity_{0};
  std::size_t first_{0};
  std::size_t size_{0};
};

}  // namespace millrace::redis
