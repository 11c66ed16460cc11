// Clients of event streams, and those who publish, of any server: what it delivers, how late, and
// what idle clients cost.
//
//   sse_load --port N --clients N --subscribe PATH --publish PATH
//            (--events N [--publishers N] | --rate N --seconds N | --idle)
//
// One thread, sockets and epoll. Every event carries its number and the moment at which it was due;
// every client has to get each of them once, or the program ends with an error. One JSON object
// says what was measured; with --idle it says "ready" when all are there, and waits for a line.
#include <fmt/format.h>

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <string_view>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace {

using steady = std::chrono::steady_clock;

constexpr std::string_view mark = "@@";
/// `@@` and ten digits, `:` and nineteen, as in `event_body`.
constexpr std::size_t mark_bytes = 2 + 10 + 1 + 19;
constexpr std::chrono::seconds patience{300};

struct settings {
  std::uint16_t port{0};
  std::size_t clients{1000};
  std::size_t publishers{16};
  std::size_t events{0};
  double rate{0};
  double seconds{5};
  bool idle{false};
  std::string subscribe;
  std::string publish;
};

[[noreturn]] void stop(std::string_view why) {
  fmt::print(stderr, "sse_load: {}\n", why);
  std::exit(1);
}

std::int64_t now_ns() { return steady::now().time_since_epoch().count(); }

settings parse(int argc, char** argv) {
  settings out;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--idle") {
      out.idle = true;
      continue;
    }
    if (++i == argc) stop(fmt::format("{} needs a value", name));
    const char* const value = argv[i];
    if (name == "--port") {
      out.port = static_cast<std::uint16_t>(std::atoi(value));
    } else if (name == "--clients") {
      out.clients = std::strtoull(value, nullptr, 10);
    } else if (name == "--publishers") {
      out.publishers = std::strtoull(value, nullptr, 10);
    } else if (name == "--events") {
      out.events = std::strtoull(value, nullptr, 10);
    } else if (name == "--rate") {
      out.rate = std::atof(value);
    } else if (name == "--seconds") {
      out.seconds = std::atof(value);
    } else if (name == "--subscribe") {
      out.subscribe = value;
    } else if (name == "--publish") {
      out.publish = value;
    } else {
      stop(fmt::format("unknown argument {}", name));
    }
  }
  if (out.port == 0 || out.subscribe.empty()) stop("--port and --subscribe are needed");
  if (!out.idle && out.rate > 0) out.events = static_cast<std::size_t>(out.rate * out.seconds);
  return out;
}

int connect_to(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) stop("no more sockets: raise the limit of open files");
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
    stop(fmt::format("no connection: {}", std::strerror(errno)));
  }
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

void send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) stop("the server takes no more");
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

struct client {
  int fd{-1};
  bool open{false};
  std::uint64_t count{0};
  // Of the numbers and of their squares: nothing lost and nothing doubled hides from both.
  std::uint64_t sum{0};
  std::uint64_t squares{0};
  std::string rest;
};

struct publisher {
  int fd{-1};
  bool busy{false};
  std::string rest;
};

class load final {
public:
  explicit load(settings with) : with_(std::move(with)), poll_(::epoll_create1(EPOLL_CLOEXEC)) {}

  void run() {
    open_clients();
    if (with_.idle) {
      fmt::print("ready\n");
      std::fflush(stdout);
      (void)std::getchar();
      return;
    }
    open_publishers();
    const std::int64_t begun = now_ns();
    const std::int64_t step = with_.rate > 0 ? static_cast<std::int64_t>(1e9 / with_.rate) : 0;
    const auto late = steady::now() + patience;
    while (done_clients_ < clients_.size()) {
      publish_what_is_due(begun, step);
      poll_once(step > 0 ? 1 : 10);
      if (steady::now() > late) stop(fmt::format("{} clients lack events", missing()));
    }
    report(static_cast<double>(last_at_ - begun) / 1e9);
  }

private:
  void add(int fd, std::uint64_t tag) const {
    epoll_event what{.events = EPOLLIN, .data = {.u64 = tag}};
    if (::epoll_ctl(poll_, EPOLL_CTL_ADD, fd, &what) != 0) stop("epoll_ctl failed");
  }

  void open_clients() {
    clients_.resize(with_.clients);
    const std::string ask = fmt::format(
        "GET {} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n", with_.subscribe);
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      clients_[i].fd = connect_to(with_.port);
      send_all(clients_[i].fd, ask);
      add(clients_[i].fd, i);
      if (i % 64 == 63) poll_once(0);
    }
    const auto late = steady::now() + patience;
    while (open_ < clients_.size()) {
      poll_once(10);
      if (steady::now() > late) stop(fmt::format("only {} clients are there", open_));
    }
  }

  void open_publishers() {
    publishers_.resize(with_.publishers);
    for (std::size_t i = 0; i < publishers_.size(); ++i) {
      publishers_[i].fd = connect_to(with_.port);
      add(publishers_[i].fd, clients_.size() + i);
    }
  }

  void publish_what_is_due(std::int64_t begun, std::int64_t step) {
    for (publisher& each : publishers_) {
      if (each.busy || published_ == with_.events) continue;
      const std::int64_t due = begun + static_cast<std::int64_t>(published_) * step;
      if (due > now_ns()) return;
      const std::string body =
          fmt::format(R"({{"type":"bench","payload":"{}{:010}:{:019}{}"}})", mark, published_,
                      step > 0 ? due : now_ns(), std::string(68, 'x'));
      send_all(each.fd, fmt::format("POST {} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "
                                    "application/json\r\nContent-Length: {}\r\n\r\n{}",
                                    with_.publish, body.size(), body));
      each.busy = true;
      ++published_;
    }
  }

  void poll_once(int wait_ms) {
    std::array<epoll_event, 512> ready{};
    const int count = ::epoll_wait(poll_, ready.data(), static_cast<int>(ready.size()), wait_ms);
    for (int i = 0; i < count; ++i) {
      const std::size_t at = ready[static_cast<std::size_t>(i)].data.u64;
      if (at < clients_.size()) {
        read_client(clients_[at]);
      } else {
        read_publisher(publishers_[at - clients_.size()]);
      }
    }
  }

  // A server may close a connection on which nobody asks anything; then there is another.
  bool reopened(publisher& of) {
    char byte = 0;
    if (of.busy || ::recv(of.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0) return false;
    ::close(of.fd);
    of.fd = connect_to(with_.port);
    add(of.fd, clients_.size() + static_cast<std::size_t>(&of - publishers_.data()));
    return true;
  }

  std::string_view receive(int fd) {
    while (true) {
      const auto got = ::recv(fd, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
      if (got > 0) return {buffer_.data(), static_cast<std::size_t>(got)};
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return {};
      stop("the server has closed a connection");
    }
  }

  void read_client(client& of) {
    std::string_view bytes = receive(of.fd);
    if (!of.open && !bytes.empty()) {
      if (!bytes.starts_with("HTTP/1.1 200")) {
        stop(fmt::format("a client was answered {}", bytes.substr(0, 60)));
      }
      of.open = true;
      ++open_;
    }
    if (!of.rest.empty()) {
      of.rest.append(bytes);
      bytes = of.rest;
    }
    std::size_t at = 0;
    while ((at = bytes.find(mark, at)) != std::string_view::npos) {
      if (bytes.size() - at < mark_bytes) break;
      take(of, bytes.substr(at, mark_bytes));
      at += mark_bytes;
    }
    // What may be the beginning of another.
    const std::size_t keep = at != std::string_view::npos    ? bytes.size() - at
                             : bytes.ends_with(mark.front()) ? 1
                                                             : 0;
    std::string rest{bytes.substr(bytes.size() - keep)};
    of.rest = std::move(rest);
  }

  void take(client& of, std::string_view text) {
    std::uint64_t number = 0;
    std::int64_t due = 0;
    std::from_chars(text.data() + 2, text.data() + 12, number);
    std::from_chars(text.data() + 13, text.data() + 32, due);
    const std::int64_t at = now_ns();
    if (with_.rate > 0) late_ms_.push_back(static_cast<float>(static_cast<double>(at - due) / 1e6));
    ++of.count;
    of.sum += number;
    of.squares += number * number;
    last_at_ = at;
    if (of.count != with_.events) return;
    const std::uint64_t n = with_.events;
    if (of.sum != n * (n - 1) / 2 || of.squares != (n - 1) * n * (2 * n - 1) / 6) {
      stop("a client got an event twice, or not at all");
    }
    ++done_clients_;
  }

  void read_publisher(publisher& of) {
    if (reopened(of)) return;
    of.rest.append(receive(of.fd));
    const std::size_t head = of.rest.find("\r\n\r\n");
    if (head == std::string::npos) return;
    if (!of.rest.starts_with("HTTP/1.1 20")) stop("publishing: " + of.rest.substr(0, 300));
    std::size_t body = 0;
    for (const std::string_view name : {"Content-Length: ", "content-length: "}) {
      const std::size_t at = of.rest.find(name);
      if (at < head) body = std::strtoull(of.rest.c_str() + at + name.size(), nullptr, 10);
    }
    if (of.rest.size() < head + 4 + body) return;
    of.rest.clear();
    of.busy = false;
  }

  [[nodiscard]] std::size_t missing() const { return clients_.size() - done_clients_; }

  void report(double seconds) {
    const double deliveries = static_cast<double>(with_.events * clients_.size());
    std::string out = fmt::format(R"({{"deliveries_per_second":{:.1f})", deliveries / seconds);
    if (with_.rate > 0) {
      std::ranges::sort(late_ms_);
      const auto at = [this](double share) {
        return late_ms_[static_cast<std::size_t>(share * static_cast<double>(late_ms_.size() - 1))];
      };
      out += fmt::format(R"(,"p50_ms":{:.3f},"p99_ms":{:.3f},"p999_ms":{:.3f})", at(0.5), at(0.99),
                         at(0.999));
    }
    fmt::print("{}}}\n", out);
  }

  settings with_;
  int poll_;
  std::vector<client> clients_;
  std::vector<publisher> publishers_;
  std::vector<float> late_ms_;
  std::array<char, 1 << 18> buffer_{};
  std::size_t open_{0};
  std::size_t published_{0};
  std::size_t done_clients_{0};
  std::int64_t last_at_{0};
};

}  // namespace

int main(int argc, char** argv) {
  const settings with = parse(argc, argv);
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  static load all(with);
  all.run();
}
