// memcached in the shape of our own measurement: one connection, so many keys under way. As its
// clients do it: a command asks for many keys at once, here for half of those under way, so that
// there is always another one.
//   memcached_bench PORT REQUESTS IN_FLIGHT
// Prints one JSON line. Every answer is looked at: one without the values fails.

#include <arpa/inet.h>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace {

constexpr std::string_view put = "set bench:key 0 0 16\r\nxxxxxxxxxxxxxxxx\r\n";
constexpr std::string_view stored = "STORED\r\n";
constexpr std::string_view value = "VALUE bench:key 0 16\r\nxxxxxxxxxxxxxxxx\r\n";

[[noreturn]] void give_up(const char* what) {
  std::fprintf(stderr, "memcached_bench: %s\n", what);
  std::exit(1);
}

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
  const timeval patience{.tv_sec = 10, .tv_usec = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return fd;
}

void send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) give_up("a command was not taken");
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void receive(int fd, std::string& into) {
  static char buffer[65536];
  const ssize_t got = ::recv(fd, buffer, sizeof buffer, 0);
  if (got <= 0) give_up("no answer for 10 s, or the connection was closed");
  into.append(buffer, static_cast<std::size_t>(got));
}

// A command for so many keys, and its whole answer.
struct exchange {
  explicit exchange(std::size_t keys) {
    for (std::size_t i = 0; i < keys; ++i) {
      command += " bench:key";
      answer += value;
    }
    command += "\r\n";
    answer += "END\r\n";
  }
  std::string command = "get";
  std::string answer;
};

double keys_per_second(int fd, std::size_t requests, std::size_t in_flight) {
  const std::size_t keys = in_flight / 2;
  const exchange one(keys);
  const std::size_t commands = requests / keys;
  std::string input;
  const auto begun = std::chrono::steady_clock::now();
  std::size_t sent = 2;
  send_all(fd, one.command + one.command);
  for (std::size_t answered = 0; answered < sent; ++answered) {
    while (input.size() < one.answer.size()) receive(fd, input);
    if (!input.starts_with(one.answer)) give_up("an answer without the values");
    input.erase(0, one.answer.size());
    if (sent >= commands) continue;
    send_all(fd, one.command);
    ++sent;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  return static_cast<double>(sent * keys) / took.count();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) give_up("usage: memcached_bench PORT REQUESTS IN_FLIGHT");
  const std::vector<std::string> words(argv + 1, argv + argc);
  const int fd = connect_to(static_cast<std::uint16_t>(std::stoul(words[0])));
  const std::size_t requests = std::stoul(words[1]);
  const std::size_t in_flight = std::stoul(words[2]);
  if (in_flight < 2 || requests < in_flight) give_up("two in flight at least, and more requests");
  send_all(fd, put);
  std::string input;
  while (input.size() < stored.size()) receive(fd, input);
  if (input != stored) give_up("the value was not taken");
  const double rate = keys_per_second(fd, requests, in_flight);
  std::printf(R"({"system":"memcached","metric":"GET, %zu in flight","value":%.0f,"unit":"ops/s",)"
              R"("guarantee":"one connection, many keys a command"})"
              "\n",
              in_flight, rate);
  ::close(fd);
  return 0;
}
