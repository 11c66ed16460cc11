#include "lock_run.hpp"

#include "json_writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <ostream>
#include <poll.h>
#include <spawn.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace millrace::cli {
namespace {

using steady = std::chrono::steady_clock;

class file final {
public:
  explicit file(int fd) noexcept : fd_(fd) {}
  ~file() {
    if (fd_ >= 0) ::close(fd_);
  }
  file(const file&) = delete;
  file& operator=(const file&) = delete;
  [[nodiscard]] int get() const noexcept { return fd_; }

private:
  int fd_;
};

sigset_t ending_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int each : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, each);
  return set;
}

// While it exists, signals that would end this process are read from a file instead: it has a lock
// to release.
class held_signals final {
public:
  held_signals() : set_(ending_signals()) {
    ::pthread_sigmask(SIG_BLOCK, &set_, &before_);
    told_ = ::signalfd(-1, &set_, SFD_CLOEXEC | SFD_NONBLOCK);
  }
  ~held_signals() {
    if (told_ >= 0) ::close(told_);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  held_signals(const held_signals&) = delete;
  held_signals& operator=(const held_signals&) = delete;

  [[nodiscard]] int fd() const noexcept { return told_; }
  [[nodiscard]] const sigset_t& before() const noexcept { return before_; }
  [[nodiscard]] int take() const {
    signalfd_siginfo info{};
    return ::read(told_, &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo) : 0;
  }

private:
  sigset_t set_;
  sigset_t before_{};
  int told_{-1};
};

// The child; 0, with errno, where it cannot be started.
pid_t start(const std::vector<std::string>& args, const held_lock& lock, const sigset_t& mask) {
  std::vector<std::string> variables;
  for (char** each = environ; *each != nullptr; ++each) {
    if (std::strncmp(*each, "MILLRACE_LOCK_", 14) != 0) variables.emplace_back(*each);
  }
  variables.push_back("MILLRACE_LOCK_RESOURCE=" + lock.resource);
  variables.push_back("MILLRACE_LOCK_FENCE=" + lock.fence);
  variables.push_back("MILLRACE_LOCK_TOKEN=" + lock.token);
  std::vector<char*> words;
  for (const std::string& each : args) words.push_back(const_cast<char*>(each.c_str()));
  words.push_back(nullptr);
  std::vector<char*> environment;
  for (std::string& each : variables) environment.push_back(each.data());
  environment.push_back(nullptr);
  posix_spawnattr_t how;
  ::posix_spawnattr_init(&how);
  ::posix_spawnattr_setsigmask(&how, &mask);
  ::posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK);
  pid_t child = 0;
  const int failed =
      ::posix_spawnp(&child, words.front(), nullptr, &how, words.data(), environment.data());
  ::posix_spawnattr_destroy(&how);
  errno = failed;
  return failed == 0 ? child : 0;
}

enum class renewal : std::uint8_t { done, failed, lost };

renewal renew(server_call& server, const held_lock& lock) {
  json_writer body;
  body.seconds("ttl", lock.ttl);
  const auto answer = server.call({.method = client::verb::put,
                                   .target = lock.target,
                                   .body = std::move(body).finish(),
                                   .timeout = std::chrono::duration_cast<std::chrono::milliseconds>(
                                       std::max<duration>(lock.ttl / 3, std::chrono::seconds{1}))});
  if (answer) return renewal::done;
  return answer.error().kind == errc::conflict ? renewal::lost : renewal::failed;
}

exit_code code_of(int status) {
  if (WIFEXITED(status)) return static_cast<exit_code>(WEXITSTATUS(status));
  return static_cast<exit_code>(128 + WTERMSIG(status));
}

class lock_keeper final {
public:
  lock_keeper(const context& with, server_call& server, const held_lock& lock, pid_t child)
      : with_(with), server_(server), lock_(lock), child_(child) {}

  // Until the child has ended.
  void keep(const held_signals& signals) {
    const file ended(static_cast<int>(::syscall(SYS_pidfd_open, child_, 0)));
    while (true) {
      std::array<pollfd, 2> watched{{{.fd = ended.get(), .events = POLLIN, .revents = 0},
                                     {.fd = signals.fd(), .events = POLLIN, .revents = 0}}};
      const int ready = ::poll(watched.data(), watched.size(), until_renewal());
      if (ready < 0 && errno != EINTR) return;
      if (watched[0].revents != 0) return;
      // The terminal has sent its own to the child as well.
      if (watched[1].revents != 0) {
        if (const int told = signals.take(); told == SIGTERM || told == SIGHUP) {
          ::kill(child_, told);
        }
      }
      if (!lost_ && steady::now() >= renew_at_) look_after();
    }
  }
  [[nodiscard]] bool lost() const noexcept { return lost_; }

private:
  [[nodiscard]] int until_renewal() const {
    if (lost_) return -1;
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(renew_at_ - steady::now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 3'600'000));
  }

  void look_after() {
    const auto asked_at = steady::now();
    const renewal got = renew(server_, lock_);
    if (got == renewal::done) {
      sure_until_ = asked_at + lock_.ttl;
      renew_at_ = asked_at + lock_.ttl / 3;
      return;
    }
    // A server that does not answer may come back while the lock still holds.
    if (got == renewal::failed && steady::now() < sure_until_) {
      renew_at_ = std::min<steady::time_point>(steady::now() + lock_.ttl / 10, sure_until_);
      return;
    }
    lost_ = true;
    with_.around.err << fmt::format("millrace: the lock {} is lost; ending the program\n",
                                    lock_.resource)
                     << std::flush;
    ::kill(child_, SIGTERM);
  }

  const context& with_;
  server_call& server_;
  const held_lock& lock_;
  pid_t child_;
  steady::time_point sure_until_{steady::now() + lock_.ttl};
  steady::time_point renew_at_{steady::now() + lock_.ttl / 3};
  bool lost_{false};
};

}  // namespace

exit_code run_under_lock(const context& with, server_call& server, const held_lock& lock,
                         const std::vector<std::string>& args) {
  const held_signals signals;
  const pid_t child = start(args, lock, signals.before());
  if (child == 0) {
    const int why = errno;
    (void)server.remove(lock.target);
    return report(
        with, {.kind = errc::invalid_argument,
               .code = "cannot_run",
               .detail = fmt::format("{} cannot be run: {}", args.front(), std::strerror(why))});
  }
  lock_keeper keeper(with, server, lock, child);
  keeper.keep(signals);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (keeper.lost()) return exit_code::failed;
  (void)server.remove(lock.target);
  return code_of(status);
}

}  // namespace millrace::cli
