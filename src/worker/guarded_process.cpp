#include "guarded_process.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>
#include <pthread.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace millrace::worker_detail {
namespace {

constexpr auto tuple_awaitable = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t read_bytes = std::size_t{64} << 10U;
// More than any pipe holds: whoever writes on without end is not waited for.
constexpr std::size_t drained_bytes_max = std::size_t{4} << 20U;

/// Closes what has not been given away.
class owned_fd final {
public:
  owned_fd() = default;
  ~owned_fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  owned_fd(const owned_fd&) = delete;
  owned_fd& operator=(const owned_fd&) = delete;
  void own(int fd) noexcept { fd_ = fd; }
  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }

private:
  int fd_{-1};
};

/// Both sides of the three pipes and the control socket.
struct descriptors {
  enum { in, out, err, control, count };
  std::array<owned_fd, count> ours;
  std::array<owned_fd, count> theirs;

  [[nodiscard]] bool open() noexcept {
    int pair[2];
    for (const int stream : {in, out, err}) {
      if (::pipe2(pair, O_CLOEXEC) != 0) return false;
      ours[static_cast<std::size_t>(stream)].own(pair[stream == in ? 1 : 0]);
      theirs[static_cast<std::size_t>(stream)].own(pair[stream == in ? 0 : 1]);
    }
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return false;
    ours[control].own(pair[0]);
    theirs[control].own(pair[1]);
    for (const owned_fd& fd : ours) {
      if (::fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0) return false;
    }
    return true;
  }
};

std::unexpected<error> spawn_failed(int native) {
  return fail(errc::unavailable, "spawn_failed",
              fmt::format("no process can be started: {}", std::strerror(native)));
}

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  // execve promises not to write to them.
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// A program that does not read its stdin must not end us; the signal is for this thread alone, so
// it can be blocked and taken back here, whatever the rest of the process does with it.
ssize_t write_without_sigpipe(int fd, std::string_view bytes) noexcept {
  sigset_t pipe_signal;
  sigset_t before;
  ::sigemptyset(&pipe_signal);
  ::sigaddset(&pipe_signal, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
  const ssize_t written = ::write(fd, bytes.data(), bytes.size());
  const int native = errno;
  if (written < 0 && native == EPIPE) {
    const timespec at_once{};
    ::sigtimedwait(&pipe_signal, nullptr, &at_once);
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = native;
  return written;
}

awaitable<void> read_until_closed(guarded_process::descriptor& from, guarded_process::reader take) {
  // borrows: `from` belongs to the process, whose strand runs this.
  std::string buffer(read_bytes, '\0');
  for (;;) {
    const auto read = co_await from.async_read_some(asio::buffer(buffer), tuple_awaitable);
    const auto [ec, bytes] = read;
    if (bytes > 0 && !take(std::string_view{buffer}.substr(0, bytes))) co_return;
    if (ec) co_return;
  }
}

bool drain(guarded_process::descriptor& from, const guarded_process::reader& take) {
  if (!from.is_open()) return false;
  std::string buffer(read_bytes, '\0');
  for (std::size_t drained = 0; drained < drained_bytes_max;) {
    const ssize_t got = ::read(from.native_handle(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno == EAGAIN;
    if (got == 0) return false;
    drained += static_cast<std::size_t>(got);
    if (!take(std::string_view{buffer}.substr(0, static_cast<std::size_t>(got)))) break;
  }
  return true;
}

}  // namespace

result<std::unique_ptr<guarded_process>> guarded_process::start(
    const asio::any_io_executor& executor, const program_image& image) {
  descriptors fds;
  if (!fds.open()) return spawn_failed(errno);
  const std::vector<char*> argv = pointers_to(image.argv);
  const std::vector<char*> envp = pointers_to(image.environment);
  const guard_plan plan{.program = image.path.c_str(),
                        .argv = argv.data(),
                        .envp = envp.data(),
                        .stdin_fd = fds.theirs[descriptors::in].get(),
                        .stdout_fd = fds.theirs[descriptors::out].get(),
                        .stderr_fd = fds.theirs[descriptors::err].get(),
                        .control_fd = fds.theirs[descriptors::control].get()};
  // No handler of this process may run in the child.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t guard = ::fork();
  if (guard == 0) run_guard(plan);
  const int native = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (guard < 0) return spawn_failed(native);
  const int ours[4] = {fds.ours[descriptors::in].release(), fds.ours[descriptors::out].release(),
                       fds.ours[descriptors::err].release(),
                       fds.ours[descriptors::control].release()};
  return std::unique_ptr<guarded_process>{new guarded_process{executor, guard, ours}};
}

guarded_process::guarded_process(const asio::any_io_executor& executor, pid_t guard,
                                 const int (&fds)[4])
    : guard_(guard),
      stdin_(executor, fds[descriptors::in]),
      stdout_(executor, fds[descriptors::out]),
      stderr_(executor, fds[descriptors::err]),
      control_(executor, fds[descriptors::control]) {}

guarded_process::~guarded_process() {
  boost::system::error_code ignored;
  control_.close(ignored);
  reap();
}

void guarded_process::reap() noexcept {
  if (guard_ <= 0) return;
  // ECHILD where the process ignores SIGCHLD: then the system has taken it.
  while (::waitpid(guard_, nullptr, 0) < 0 && errno == EINTR) {
  }
  guard_ = 0;
}

void guarded_process::order(guard_order what) noexcept {
  const char byte = static_cast<char>(what);
  // Refused only by a guard that is gone, and then there is nobody left to tell.
  [[maybe_unused]] const auto sent =
      ::send(control_.native_handle(), &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

awaitable<bool> guarded_process::write(std::string bytes) {
  std::string_view left = bytes;
  while (!left.empty()) {
    const ssize_t written = write_without_sigpipe(stdin_.native_handle(), left);
    if (written >= 0) {
      left.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      const auto waited = co_await stdin_.async_wait(descriptor::wait_write, tuple_awaitable);
      if (std::get<0>(waited)) co_return false;
    } else if (errno != EINTR) {
      co_return false;
    }
  }
  co_return true;
}

void guarded_process::close_stdin() {
  boost::system::error_code ignored;
  stdin_.close(ignored);
}

awaitable<void> guarded_process::read_stdout(reader take) {
  return read_until_closed(stdout_, std::move(take));
}

awaitable<void> guarded_process::read_stderr(reader take) {
  return read_until_closed(stderr_, std::move(take));
}

bool guarded_process::drain_stdout(const reader& take) { return drain(stdout_, take); }
void guarded_process::drain_stderr(const reader& take) { drain(stderr_, take); }

awaitable<program_end> guarded_process::ended() {
  for (;;) {
    guard_report told{};
    const auto read =
        co_await asio::async_read(control_, asio::buffer(&told, sizeof told), tuple_awaitable);
    // The guard has closed its side: it ends in a moment.
    if (std::get<0>(read)) break;
    if (told.word == guard_word::not_started) {
      end_ = {.how = program_end::way::not_started, .value = told.value};
    } else if (end_.how != program_end::way::not_started) {
      const bool signalled = WIFSIGNALED(told.value);
      end_ = {.how = signalled ? program_end::way::signalled : program_end::way::exited,
              .value = signalled ? WTERMSIG(told.value) : WEXITSTATUS(told.value)};
    }
  }
  const auto cancelled = co_await asio::this_coro::cancellation_state;
  if (cancelled.cancelled() == asio::cancellation_type::none) reap();
  co_return end_;
}

}  // namespace millrace::worker_detail
