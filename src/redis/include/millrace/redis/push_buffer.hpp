#pragma once

#include <millrace/redis/reply.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

namespace millrace::redis {

/// Keeps pushes for who cannot look at each at once: `on_push` adds, somebody else takes.
///
/// Guarantees: never makes the connection wait. When it is full the oldest push is dropped and
///             counted: who sees `dropped` grow has missed something and looks for itself.
/// Threading:  safe from any thread.
class push_buffer final {
public:
  /// `pushes_max` of zero keeps nothing and counts all.
  explicit push_buffer(std::size_t pushes_max) : pushes_max_(pushes_max) {}

  void add(const reply& push);

  /// All there are, the oldest first.
  [[nodiscard]] std::vector<reply> take();
  /// How many have been dropped since it was made.
  [[nodiscard]] std::uint64_t dropped() const;

private:
  const std::size_t pushes_max_;
  mutable std::mutex mutex_;
  std::deque<reply> kept_;
  std::uint64_t dropped_{0};
};

}  // namespace millrace::redis
