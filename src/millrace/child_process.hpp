#pragma once

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <poll.h>
#include <spawn.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace millrace::testing {

/// A program under test: started with exactly the arguments and variables given, its output kept.
///
/// Lifetime: the destructor kills it where it still runs.
class child_process final {
public:
  child_process(std::vector<std::string> command, const std::filesystem::path& directory,
                std::vector<std::string> environment = {}) {
    std::array<int, 2> out{};
    std::array<int, 2> err{};
    if (::pipe2(out.data(), O_CLOEXEC) != 0 || ::pipe2(err.data(), O_CLOEXEC) != 0) {
      throw std::runtime_error("no pipe");
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, directory.c_str());
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_adddup2(&actions, err[1], 2);
    auto argv = pointers(command);
    auto envp = pointers(environment);
    const int failed =
        ::posix_spawn(&pid_, command.front().c_str(), &actions, nullptr, argv.data(), envp.data());
    posix_spawn_file_actions_destroy(&actions);
    ::close(out[1]);
    ::close(err[1]);
    streams_ = {stream{.descriptor = out[0]}, stream{.descriptor = err[0]}};
    if (failed != 0) throw std::runtime_error("cannot start " + command.front());
  }

  ~child_process() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    for (const stream& one : streams_) ::close(one.descriptor);
  }
  child_process(const child_process&) = delete;
  child_process& operator=(const child_process&) = delete;

  [[nodiscard]] const std::string& out() const noexcept { return streams_[0].text; }
  [[nodiscard]] const std::string& err() const noexcept { return streams_[1].text; }
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }

  void signal(int number) const { ::kill(pid_, number); }

  /// Reads until the standard output holds `text`; false when it ends, or takes too long, before.
  bool wait_for(std::string_view text) { return read_until(0, text); }
  /// The same for the standard error.
  bool wait_for_error(std::string_view text) { return read_until(1, text); }

  /// The exit code once it has ended, or 128 and the signal that ended it; -1 when it takes too
  /// long.
  int wait() {
    (void)read_until(0, {});
    if (streams_[0].open || streams_[1].open) return -1;
    int status = 0;
    if (::waitpid(std::exchange(pid_, -1), &status, 0) < 0) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

private:
  struct stream {
    int descriptor{-1};
    bool open{true};
    std::string text;
  };

  static std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> all;
    for (std::string& text : texts) all.push_back(text.data());
    all.push_back(nullptr);
    return all;
  }

  // Without a text: until both streams have ended.
  bool read_until(std::size_t which, std::string_view text) {
    constexpr std::chrono::seconds patience{60};
    const auto until = std::chrono::steady_clock::now() + patience;
    while (text.empty() || streams_[which].text.find(text) == std::string::npos) {
      if (!streams_[0].open && !streams_[1].open) return false;
      if (std::chrono::steady_clock::now() > until) return false;
      read_some();
    }
    return true;
  }

  void read_some() {
    std::array<pollfd, 2> ready{};
    for (std::size_t i = 0; i < 2; ++i) {
      ready[i] = {.fd = streams_[i].open ? streams_[i].descriptor : -1, .events = POLLIN};
    }
    if (::poll(ready.data(), ready.size(), 1000) <= 0) return;
    for (std::size_t i = 0; i < 2; ++i) {
      if (ready[i].revents == 0) continue;
      std::array<char, 4096> piece{};
      const auto got = ::read(streams_[i].descriptor, piece.data(), piece.size());
      if (got > 0) {
        streams_[i].text.append(piece.data(), static_cast<std::size_t>(got));
      } else if (got == 0 || errno != EINTR) {
        streams_[i].open = false;
      }
    }
  }

  pid_t pid_{-1};
  std::array<stream, 2> streams_;
};

}  // namespace millrace::testing
