// beanstalkd in the shape of our own measurement: each caller has a connection of its own and one
// command under way.
//   beanstalkd_bench PORT JOBS CALLERS
// Prints one JSON line a figure. Every job is counted: a run that lost or doubled one fails.

#include <arpa/inet.h>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <string_view>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <unordered_set>
#include <vector>

namespace {

constexpr std::string_view payload = R"({"text":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx)"
                                     R"(xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"})";

[[noreturn]] void give_up(const char* what) {
  std::fprintf(stderr, "beanstalkd_bench: %s\n", what);
  std::exit(1);
}

struct caller {
  int socket{-1};
  std::string received;
};

int connect_to(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(port);
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0) {
    give_up("nothing listens on that port");
  }
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

void send_all(int fd, std::string_view bytes) {
  if (::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size())) {
    give_up("a command was not taken whole");
  }
}

// Runs the callers until `on_input` says that all is done. It is called after every read, and takes
// what it understood out of `received`.
void run_loop(std::vector<caller>& callers, const std::function<bool(caller&)>& on_input) {
  const int poll = ::epoll_create1(EPOLL_CLOEXEC);
  for (std::size_t i = 0; i < callers.size(); ++i) {
    epoll_event event{.events = EPOLLIN, .data = {.u64 = i}};
    ::epoll_ctl(poll, EPOLL_CTL_ADD, callers[i].socket, &event);
  }
  bool done = false;
  while (!done) {
    epoll_event events[64];
    const int ready = ::epoll_wait(poll, events, 64, 10'000);
    if (ready <= 0) give_up("no answer for 10 s");
    for (int i = 0; i < ready; ++i) {
      caller& who = callers[events[i].data.u64];
      char buffer[4096];
      const ssize_t got = ::recv(who.socket, buffer, sizeof buffer, 0);
      if (got <= 0) give_up("the connection was closed");
      who.received.append(buffer, static_cast<std::size_t>(got));
      done = on_input(who) || done;
    }
  }
  ::close(poll);
}

// Takes one line that begins with `expected` out of the input; false when it is not there yet.
bool take_line(std::string& input, std::string_view expected, std::string* line = nullptr) {
  const std::size_t end = input.find("\r\n");
  if (end == std::string::npos) return false;
  if (!input.starts_with(expected)) give_up(("unexpected answer: " + input.substr(0, end)).c_str());
  if (line != nullptr) *line = input.substr(0, end);
  input.erase(0, end + 2);
  return true;
}

double enqueue_all(std::vector<caller>& callers, std::size_t jobs) {
  const std::string put =
      "put 5 0 60 " + std::to_string(payload.size()) + "\r\n" + std::string{payload} + "\r\n";
  const auto begun = std::chrono::steady_clock::now();
  std::size_t sent = 0;
  std::size_t answered = 0;
  for (caller& who : callers) {
    send_all(who.socket, put);
    ++sent;
  }
  run_loop(callers, [&](caller& who) {
    while (take_line(who.received, "INSERTED ")) {
      ++answered;
      if (sent < jobs) {
        send_all(who.socket, put);
        ++sent;
      }
    }
    return answered == jobs;
  });
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  return static_cast<double>(jobs) / took.count();
}

double work_off(std::vector<caller>& callers, std::size_t jobs) {
  std::unordered_set<std::string> seen;
  std::size_t deleted = 0;
  const auto begun = std::chrono::steady_clock::now();
  for (caller& who : callers) send_all(who.socket, "reserve-with-timeout 1\r\n");
  run_loop(callers, [&](caller& who) {
    while (!who.received.empty()) {
      if (who.received.starts_with("TIMED_OUT")) {
        if (!take_line(who.received, "TIMED_OUT")) break;
      } else if (who.received.starts_with("DELETED")) {
        if (!take_line(who.received, "DELETED")) break;
        ++deleted;
      } else {
        const std::size_t end = who.received.find("\r\n");
        if (end == std::string::npos || who.received.size() < end + 4 + payload.size()) break;
        std::string line;
        take_line(who.received, "RESERVED ", &line);
        who.received.erase(0, payload.size() + 2);
        const std::string id = line.substr(9, line.find(' ', 9) - 9);
        if (!seen.insert(id).second) give_up("a job was handed out twice");
        // The next reserve goes with the delete: one write, as a good client does.
        send_all(who.socket, "delete " + id + "\r\nreserve-with-timeout 1\r\n");
      }
    }
    return deleted == jobs;
  });
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  return static_cast<double>(jobs) / took.count();
}

void report(const char* metric, double value, const char* guarantee) {
  std::printf(
      R"({"system":"beanstalkd","metric":"%s","value":%.1f,"unit":"jobs/s","guarantee":"%s"})"
      "\n",
      metric, value, guarantee);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) give_up("usage: beanstalkd_bench PORT JOBS CALLERS");
  const auto port = static_cast<std::uint16_t>(std::atoi(argv[1]));
  const auto jobs = static_cast<std::size_t>(std::atoll(argv[2]));
  std::vector<caller> callers(static_cast<std::size_t>(std::atoll(argv[3])));
  for (caller& who : callers) who.socket = connect_to(port);
  const double enqueued = enqueue_all(callers, jobs);
  report("enqueue", enqueued, "log, synced within 50 ms after the answer");
  const double worked = work_off(callers, jobs);
  report("take → done", worked, "no result, no status kept");
  report("enqueue → done", 1.0 / (1.0 / enqueued + 1.0 / worked), "one after the other");
  for (const caller& who : callers) ::close(who.socket);
  return 0;
}
