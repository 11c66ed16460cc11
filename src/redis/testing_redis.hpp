#pragma once

#include <stdlib.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <fcntl.h>
#include <filesystem>
#include <netinet/in.h>
#include <poll.h>
#include <spawn.h>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

extern char** environ;

/// For tests only.
namespace millrace::redis::testing {

/// A folder of one test, removed with all in it.
class scratch_directory final {
public:
  scratch_directory() {
    std::string name = (std::filesystem::temp_directory_path() / "millrace-redis-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    root_ = name;
  }
  ~scratch_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }
  scratch_directory(const scratch_directory&) = delete;
  scratch_directory& operator=(const scratch_directory&) = delete;

  [[nodiscard]] std::string file(const std::string& name) const { return (root_ / name).string(); }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return root_; }

private:
  std::filesystem::path root_;
};

/// Runs a program to its end, unheard; true when it succeeds.
inline bool run_program(std::vector<std::string> words) {
  std::vector<char*> argv;
  for (std::string& each : words) argv.push_back(each.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (int i = 0; i < 3; ++i) {
    posix_spawn_file_actions_addopen(&actions, i, "/dev/null", O_RDWR, 0);
  }
  pid_t pid = -1;
  const int failed = ::posix_spawnp(&pid, argv.front(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  int status = -1;
  return failed == 0 && ::waitpid(pid, &status, 0) == pid && status == 0;
}

/// A port nobody listens on at the moment.
inline std::uint16_t free_port() {
  const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  const bool known = ::bind(probe, reinterpret_cast<sockaddr*>(&at), size) == 0 &&
                     ::getsockname(probe, reinterpret_cast<sockaddr*>(&at), &size) == 0;
  ::close(probe);
  if (!known) throw std::runtime_error("no free port");
  return ntohs(at.sin_port);
}

/// A real redis-server of its own, in a folder of its own, with a TCP port and a Unix socket.
///
/// Lifetime: ready when made; killed by the destructor, or with the thread that made it.
class redis_server final {
public:
  /// `settings` are words of its command line besides ports and folders: `{"--requirepass", "x"}`.
  explicit redis_server(std::vector<std::string> settings = {}) : settings_(std::move(settings)) {
    constexpr int attempts = 5;
    for (int i = 0; i < attempts; ++i) {
      port_ = free_port();
      tls_port_ = free_port();
      // Somebody else may take the port in between.
      if (start()) return;
    }
    throw std::runtime_error(program() + " does not start: is it installed?");
  }
  ~redis_server() { kill(); }
  redis_server(const redis_server&) = delete;
  redis_server& operator=(const redis_server&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  /// Where `settings` may say `--tls-port`, with {tls} for the number.
  [[nodiscard]] std::uint16_t tls_port() const noexcept { return tls_port_; }
  [[nodiscard]] std::string socket() const { return directory_.file("redis.sock"); }
  [[nodiscard]] std::string url() const { return "redis://127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }

  void kill() noexcept {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(std::exchange(pid_, -1), nullptr, 0);
    }
    if (log_ >= 0) ::close(std::exchange(log_, -1));
  }
  /// Again on the same ports, with what it had kept.
  void restart() {
    kill();
    if (!start()) throw std::runtime_error("redis-server does not start again");
  }
  /// It answers nobody until `resume`.
  void freeze() const { ::kill(pid_, SIGSTOP); }
  void resume() const { ::kill(pid_, SIGCONT); }

private:
  // The same tests run on Valkey.
  static std::string program() {
    const char* named = ::getenv("MILLRACE_REDIS_SERVER");
    return named == nullptr ? "redis-server" : named;
  }

  bool start() {
    // So that a test that is killed leaves none behind.
    std::vector<std::string> words{"setpriv",      "--pdeathsig",
                                   "KILL",         program(),
                                   "--port",       std::to_string(port_),
                                   "--bind",       "127.0.0.1",
                                   "--unixsocket", socket(),
                                   "--dir",        directory_.path().string(),
                                   "--save",       "",
                                   "--daemonize",  "no",
                                   "--logfile",    ""};
    for (const std::string& each : settings_) {
      words.push_back(each == "{tls}" ? std::to_string(tls_port_) : each);
    }
    std::vector<char*> argv;
    for (std::string& each : words) argv.push_back(each.data());
    argv.push_back(nullptr);
    std::array<int, 2> out{};
    if (::pipe2(out.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_adddup2(&actions, out[1], 2);
    const int failed = ::posix_spawnp(&pid_, argv.front(), &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    ::close(out[1]);
    log_ = out[0];
    if (failed != 0) pid_ = -1;
    if (failed == 0 && is_ready()) return true;
    kill();
    return false;
  }

  // Its log says so; it ends where it cannot.
  bool is_ready() const {
    std::string log;
    std::array<char, 4096> piece{};
    constexpr int patience_ms = 20'000;
    while (log.find("eady to accept connections") == std::string::npos) {
      pollfd ready{.fd = log_, .events = POLLIN};
      if (::poll(&ready, 1, patience_ms) <= 0) return false;
      const auto got = ::read(log_, piece.data(), piece.size());
      if (got <= 0) return false;
      log.append(piece.data(), static_cast<std::size_t>(got));
    }
    return true;
  }

  scratch_directory directory_;
  std::vector<std::string> settings_;
  std::uint16_t port_{0};
  std::uint16_t tls_port_{0};
  pid_t pid_{-1};
  int log_{-1};
};

}  // namespace millrace::redis::testing
