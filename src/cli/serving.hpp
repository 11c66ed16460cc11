#pragma once

#include <millrace/base/error.hpp>
#include <millrace/engine/store.hpp>
#include <millrace/http/server.hpp>
#include <millrace/observe/logging.hpp>

#include <cstdint>
#include <functional>
#include <memory>

namespace millrace::cli {

/// Everything that runs while `serve` does: the threads, the HTTP server, the scheduler of
/// recurring jobs, and the signals that end them.
///
/// Lifetime: store and log must outlive it. After `start` has succeeded, `run_until_signal` or
///           `stop` has to be called before the destructor.
class serving final {
public:
  serving(engine::store& store, http::server_options options, const observe::logger& log,
          std::uint32_t threads);
  ~serving();
  serving(const serving&) = delete;
  serving& operator=(const serving&) = delete;

  /// What SIGHUP asks for; called on a thread of the server. Requires: not started.
  void on_hangup(std::function<void(http::server&)> reload);

  /// Errors: those of `http::server::start`.
  [[nodiscard]] result<void> start();

  /// Blocks until SIGTERM or SIGINT has been carried out: no new requests, long polls answered,
  /// running requests finished, at most 10 s. A second signal ends the process at once: what was
  /// answered is on disk.
  void run_until_signal();

  /// As if the signal had come.
  void stop();

  [[nodiscard]] const http::server& server() const noexcept;

private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace millrace::cli
