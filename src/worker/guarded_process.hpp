#pragma once

#include "guard.hpp"

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>

#include <boost/asio/posix/stream_descriptor.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace millrace::worker_detail {

/// What to execute.
struct program_image {
  std::string path;
  /// With the name of the program first.
  std::vector<std::string> argv;
  /// `NAME=value`.
  std::vector<std::string> environment;
};

/// How a program came to its end.
struct program_end {
  enum class way : std::uint8_t {
    /// `value`: errno.
    not_started,
    /// `value`: the exit status.
    exited,
    /// `value`: the signal.
    signalled,
    /// The guard was killed, and the program with it.
    guard_lost,
  };
  way how{way::guard_lost};
  int value{0};
};

/// One running program with its guard, and its three standard streams.
///
/// Guarantees: once `ended` has answered, or this object is gone, nothing is left of the program.
/// Threading:  one strand. `order` from any thread.
class guarded_process final {
public:
  using descriptor = asio::posix::stream_descriptor;
  /// Takes what was read; false: that is enough.
  using reader = std::function<bool(std::string_view)>;

  /// Blocks for two forks at most. Errors: unavailable (`spawn_failed`).
  [[nodiscard]] static result<std::unique_ptr<guarded_process>> start(
      const asio::any_io_executor& executor, const program_image& image);

  ~guarded_process();
  guarded_process(const guarded_process&) = delete;
  guarded_process& operator=(const guarded_process&) = delete;

  void order(guard_order what) noexcept;

  /// Writes all of it, or as much as the program wants: false when it has closed its stdin.
  [[nodiscard]] awaitable<bool> write(std::string bytes);
  void close_stdin();

  /// Reads until the program closes the stream or `take` has enough.
  [[nodiscard]] awaitable<void> read_stdout(reader take);
  [[nodiscard]] awaitable<void> read_stderr(reader take);
  /// Takes what is in the pipes, without waiting; false for a stdout that is closed.
  bool drain_stdout(const reader& take);
  void drain_stderr(const reader& take);

  /// Waits for the end. Cancellation: terminal and total; then it may be called again.
  [[nodiscard]] awaitable<program_end> ended();

private:
  guarded_process(const asio::any_io_executor& executor, pid_t guard, const int (&fds)[4]);

  // The last of its guard: it is about to end or has ended.
  void reap() noexcept;

  pid_t guard_;
  program_end end_;
  descriptor stdin_;
  descriptor stdout_;
  descriptor stderr_;
  descriptor control_;
};

}  // namespace millrace::worker_detail
