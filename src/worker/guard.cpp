#include "guard.hpp"

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace millrace::worker_detail {
namespace {

constexpr int control_fd = 3;
constexpr int first_free_fd = 4;

void reset_signal_actions() noexcept {
  struct sigaction action{};
  action.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, &action, nullptr);
}

// Descriptors of other runs that stay open here would keep their pipes from ever closing.
void close_from(int first) noexcept {
  if (::syscall(SYS_close_range, static_cast<unsigned>(first), ~0U, 0U) == 0) return;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const int end = limit.rlim_cur > 65'536 ? 65'536 : static_cast<int>(limit.rlim_cur);
  for (int fd = first; fd < end; ++fd) ::close(fd);
}

bool place_descriptors(const guard_plan& plan) noexcept {
  // Out of the way of 0 to 3 first, where some of them may be.
  constexpr int clear_of_all = 10;
  int wanted[] = {plan.stdin_fd, plan.stdout_fd, plan.stderr_fd, plan.control_fd};
  for (int& fd : wanted) {
    fd = ::fcntl(fd, F_DUPFD, clear_of_all);
    if (fd < 0) return false;
  }
  for (int target = 0; target <= control_fd; ++target) {
    if (::dup2(wanted[target], target) < 0) return false;
  }
  close_from(first_free_fd);
  return ::fcntl(control_fd, F_SETFD, FD_CLOEXEC) == 0;
}

void report(guard_word word, int value) noexcept {
  const guard_report told{word, value};
  // Nobody listens any more: then nobody has to know.
  [[maybe_unused]] const auto sent = ::send(control_fd, &told, sizeof told, MSG_NOSIGNAL);
}

[[noreturn]] void become_program(const guard_plan& plan, pid_t guard) noexcept {
  ::setsid();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The guard may have died before the line above.
  if (::getppid() != guard) ::_exit(127);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execve(plan.program, plan.argv, plan.envp);
  report(guard_word::not_started, errno);
  ::_exit(127);
}

// /proc/<pid>/stat: `pid (name) state ppid …`; the name may hold anything, so the last ')' counts.
pid_t parent_of(const char* digits) noexcept {
  char path[64] = "/proc/";
  ::strncat(path, digits, 32);
  ::strncat(path, "/stat", 8);
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  char text[512];
  const ssize_t got = ::read(fd, text, sizeof text - 1);
  ::close(fd);
  if (got <= 0) return -1;
  text[got] = '\0';
  const char* after_name = ::strrchr(text, ')');
  if (after_name == nullptr || ::strlen(after_name) < 5) return -1;
  pid_t parent = 0;
  for (const char* c = after_name + 4; *c >= '0' && *c <= '9'; ++c)
    parent = parent * 10 + (*c - '0');
  return parent;
}

struct linux_dirent64 {
  std::uint64_t inode;
  std::int64_t offset;
  unsigned short length;
  unsigned char type;
  char name[1];
};

// Kills every child of this process; false where /proc cannot be read.
bool kill_children() noexcept {
  const pid_t self = ::getpid();
  const int proc = ::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (proc < 0) return false;
  alignas(linux_dirent64) char entries[4096];
  for (;;) {
    const long got = ::syscall(SYS_getdents64, proc, entries, sizeof entries);
    if (got <= 0) break;
    for (long at = 0; at < got;) {
      const auto* entry = reinterpret_cast<const linux_dirent64*>(entries + at);
      at += entry->length;
      if (entry->name[0] < '1' || entry->name[0] > '9') continue;
      if (parent_of(entry->name) != self) continue;
      pid_t child = 0;
      for (const char* c = entry->name; *c != '\0'; ++c) child = child * 10 + (*c - '0');
      ::kill(child, SIGKILL);
    }
  }
  ::close(proc);
  return true;
}

// Until there is no child left: those of a killed one become ours with its end.
void kill_all() noexcept {
  for (;;) {
    const pid_t reaped = ::waitpid(-1, nullptr, WNOHANG);
    if (reaped > 0) continue;
    if (reaped < 0 && errno == ECHILD) return;
    if (!kill_children()) return;
    siginfo_t ended{};
    ::waitid(P_ALL, 0, &ended, WEXITED | WNOWAIT);
  }
}

struct ending {
  bool program_ended{false};
  bool worker_gone{false};
  int status{0};
};

// Takes the ended children. The program itself is left to be taken until its group is dead, since
// the group's number could be given to a stranger afterwards.
void take_ended(pid_t program, ending& end) noexcept {
  for (;;) {
    siginfo_t ended{};
    if (::waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) != 0 || ended.si_pid == 0) return;
    if (ended.si_pid == program) {
      ::kill(-program, SIGKILL);
      end.program_ended = ::waitpid(program, &end.status, 0) == program;
      return;
    }
    ::waitpid(ended.si_pid, nullptr, 0);
  }
}

void obey(pid_t program, ending& end) noexcept {
  char orders[16];
  const ssize_t got = ::recv(control_fd, orders, sizeof orders, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    end.worker_gone = true;
    return;
  }
  for (ssize_t i = 0; i < got; ++i) {
    const int signal = orders[i] == static_cast<char>(guard_order::terminate) ? SIGTERM : SIGKILL;
    // Both, since the group exists only from a moment after the fork on.
    ::kill(program, signal);
    ::kill(-program, signal);
  }
}

ending watch(pid_t program) noexcept {
  sigset_t child_ended;
  ::sigemptyset(&child_ended);
  ::sigaddset(&child_ended, SIGCHLD);
  const int signals = ::signalfd(-1, &child_ended, SFD_CLOEXEC | SFD_NONBLOCK);
  pollfd sources[] = {{.fd = control_fd, .events = POLLIN, .revents = 0},
                      {.fd = signals, .events = POLLIN, .revents = 0}};
  ending end;
  // The first look comes before the first wait: the program may have ended already.
  for (take_ended(program, end); !end.program_ended && !end.worker_gone; take_ended(program, end)) {
    if (::poll(sources, 2, signals < 0 ? 50 : -1) < 0 && errno != EINTR) break;
    signalfd_siginfo ignored;
    while (signals >= 0 && ::read(signals, &ignored, sizeof ignored) > 0) {
    }
    if (sources[0].revents != 0) obey(program, end);
  }
  return end;
}

}  // namespace

void run_guard(const guard_plan& plan) noexcept {
  const pid_t self = ::getpid();
  ::setsid();
  ::prctl(PR_SET_NAME, "millrace-guard");
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  reset_signal_actions();
  if (!place_descriptors(plan)) ::_exit(1);
  // Safe after fork in a process with threads, unlike fork, which runs handlers and takes locks.
  const pid_t program = ::_Fork();
  if (program == 0) become_program(plan, self);
  const int fork_error = errno;
  const int nothing = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd < control_fd; ++fd) {
    if (nothing < 0 || ::dup2(nothing, fd) < 0) ::close(fd);
  }
  if (program < 0) {
    report(guard_word::not_started, fork_error);
    ::_exit(0);
  }
  const ending end = watch(program);
  if (!end.program_ended) ::kill(-program, SIGKILL);
  kill_all();
  if (end.program_ended) report(guard_word::ended, end.status);
  ::_exit(0);
}

}  // namespace millrace::worker_detail
