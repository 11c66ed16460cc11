#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>
#include <millrace/redis/connection.hpp>

#include <chrono>
#include <cstddef>
#include <memory>

namespace millrace::redis {

struct connection_set_options {
  /// How every connection is made; `use` is set by the set.
  connection_options each;
  /// Connections that carry everybody's requests, taken in turn. One is enough for a core of the
  /// server; more help where TLS or large replies keep one thread of ours busy.
  std::size_t shared{1};
  /// All connections, shared ones counted. Who wants one more waits for one to come back.
  std::size_t connections_max{100};
  /// Dedicated ones that are kept open for the next caller, from the first `take` on. Those beyond
  /// it are closed when they come back.
  std::size_t idle_min{10};
  /// The longest wait for a dedicated connection when all are taken.
  std::chrono::milliseconds take_timeout{3'000};
};

/// The connections of a process to one server: shared ones for nearly everything, dedicated ones
/// for blocking reads and WATCH.
///
/// Threading: every member may be called from any thread.
/// Lifetime:  the executor's context must outlive it and be run. Leases may outlive it.
class connection_set final {
public:
  /// One dedicated connection, given back by the destructor. One with requests still under way is
  /// closed instead.
  class lease final {
  public:
    struct returning;
    explicit lease(std::unique_ptr<returning> how) noexcept;
    lease(lease&&) noexcept;
    lease& operator=(lease&&) noexcept;
    ~lease();

    [[nodiscard]] connection& operator*() const noexcept;
    [[nodiscard]] connection* operator->() const noexcept;
    /// Closes the connection instead of giving it back.
    void discard() noexcept;

  private:
    std::unique_ptr<returning> how_;
  };

  connection_set(asio::any_io_executor executor, connection_set_options options);
  ~connection_set();
  connection_set(const connection_set&) = delete;
  connection_set& operator=(const connection_set&) = delete;

  /// The next shared connection. Lifetime: that of the set.
  [[nodiscard]] connection& shared() noexcept;

  /// A dedicated connection, ready for use.
  ///
  /// Errors: exhausted (`too_many_connections`: none came back in time), cancelled, or why no
  /// connection could be made.
  [[nodiscard]] awaitable<result<lease>> take();

  /// Dedicated connections waiting for a caller, and all there are.
  [[nodiscard]] std::size_t idle() const;
  [[nodiscard]] std::size_t open() const;

  /// Refuses new callers, stops the shared connections as `connection::stop` does, and closes the
  /// idle ones; leased ones close when they come back.
  [[nodiscard]] awaitable<void> stop();

private:
  struct state;
  std::shared_ptr<state> state_;
};

}  // namespace millrace::redis
