#pragma once

#include <atomic>
#include <cstddef>
#include <utility>

namespace millrace::redis {

/// How many requests, and bytes of them, a connection holds. Thread-safe.
struct budget {
  std::size_t requests_max{0};
  std::size_t bytes_max{0};
  std::atomic<std::size_t> requests{0};
  std::atomic<std::size_t> bytes{0};
};

/// The place of one request within the budget, given back by the destructor.
class place final {
public:
  place() = default;
  place(place&& other) noexcept
      : of_(std::exchange(other.of_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  place& operator=(place&& other) noexcept {
    place old = std::move(*this);
    of_ = std::exchange(other.of_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
    return *this;
  }
  ~place() { give_back(); }

  enum class outcome { taken, too_many_requests, too_many_bytes };
  [[nodiscard]] outcome take(budget& of, std::size_t bytes) noexcept {
    if (of.requests.fetch_add(1, std::memory_order_relaxed) >= of.requests_max) {
      of.requests.fetch_sub(1, std::memory_order_relaxed);
      return outcome::too_many_requests;
    }
    if (of.bytes.fetch_add(bytes, std::memory_order_relaxed) + bytes > of.bytes_max) {
      of.bytes.fetch_sub(bytes, std::memory_order_relaxed);
      of.requests.fetch_sub(1, std::memory_order_relaxed);
      return outcome::too_many_bytes;
    }
    of_ = &of;
    bytes_ = bytes;
    return outcome::taken;
  }
  /// The request keeps its place, but its bytes are gone.
  void free_bytes() noexcept {
    if (of_ != nullptr) of_->bytes.fetch_sub(std::exchange(bytes_, 0), std::memory_order_relaxed);
  }

  /// Whoever is told the answer next sees the place free.
  void give_back() noexcept {
    if (of_ == nullptr) return;
    free_bytes();
    std::exchange(of_, nullptr)->requests.fetch_sub(1, std::memory_order_relaxed);
  }

private:
  budget* of_{nullptr};
  std::size_t bytes_{0};
};

}  // namespace millrace::redis
