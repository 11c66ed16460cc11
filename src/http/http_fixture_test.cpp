#include "http_fixture.hpp"

#include <millrace/engine_model/model_store.hpp>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <netinet/in.h>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace millrace::http::testing {
namespace {

constexpr timeval patience{.tv_sec = 10, .tv_usec = 0};

int open_socket(int family, const sockaddr* address, socklen_t bytes) {
  const int fd = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (fd < 0 || ::connect(fd, address, bytes) != 0) throw std::runtime_error("cannot connect");
  return fd;
}

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

}  // namespace

boost::json::value reply::json() const {
  boost::system::error_code code;
  boost::json::value value = boost::json::parse(body, code);
  if (code) throw std::runtime_error("not JSON: " + body);
  return value;
}

std::string reply::text(std::string_view member) const {
  const boost::json::value value = json();
  const boost::json::value* found =
      value.is_object() ? value.get_object().if_contains({member.data(), member.size()}) : nullptr;
  if (found == nullptr) return {};
  if (found->is_string()) return std::string{found->get_string().c_str()};
  return boost::json::serialize(*found);
}

std::string reply::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string{} : found->second;
}

raw_client::raw_client(const std::string& address, std::uint16_t port) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  ::inet_pton(AF_INET, address.c_str(), &to.sin_addr);
  fd_ = open_socket(AF_INET, reinterpret_cast<const sockaddr*>(&to), sizeof to);
}

raw_client::raw_client(const std::filesystem::path& unix_socket) {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  std::strncpy(to.sun_path, unix_socket.c_str(), sizeof to.sun_path - 1);
  fd_ = open_socket(AF_UNIX, reinterpret_cast<const sockaddr*>(&to), sizeof to);
}

raw_client::~raw_client() { close(); }

void raw_client::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

void raw_client::finish_sending() { ::shutdown(fd_, SHUT_WR); }

bool raw_client::try_send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

void raw_client::send(std::string_view bytes) {
  if (!try_send(bytes)) throw std::runtime_error("the server takes no more");
}

bool raw_client::fill() {
  char part[65536];
  const ssize_t got = ::recv(fd_, part, sizeof part, 0);
  if (got <= 0) return false;
  received_.append(part, static_cast<std::size_t>(got));
  return true;
}

std::optional<std::string> raw_client::read_until(std::string_view end) {
  std::size_t at = 0;
  while ((at = received_.find(end)) == std::string::npos) {
    if (!fill()) return std::nullopt;
  }
  std::string found = received_.substr(0, at + end.size());
  received_.erase(0, found.size());
  return found;
}

bool raw_client::closed_by_server() {
  char byte = 0;
  if (!received_.empty()) return false;
  const ssize_t got = ::recv(fd_, &byte, 1, 0);
  return got == 0 || (got < 0 && errno == ECONNRESET);
}

std::optional<reply> raw_client::receive_head() {
  const std::optional<std::string> head = read_until("\r\n\r\n");
  if (!head) return std::nullopt;
  reply answer;
  answer.status = static_cast<unsigned>(std::stoul(head->substr(9, 3)));
  std::size_t begin = head->find("\r\n") + 2;
  while (begin < head->size() - 2) {
    const std::size_t end = head->find("\r\n", begin);
    const std::string line = head->substr(begin, end - begin);
    const std::size_t colon = line.find(": ");
    answer.headers[lower(line.substr(0, colon))] = line.substr(colon + 2);
    begin = end + 2;
  }
  return answer;
}

std::optional<reply> raw_client::receive() {
  std::optional<reply> answer = receive_head();
  if (!answer) return std::nullopt;
  const std::string length = answer->header("content-length");
  const std::size_t bytes = length.empty() ? 0 : std::stoul(length);
  while (received_.size() < bytes) {
    if (!fill()) return std::nullopt;
  }
  answer->body = received_.substr(0, bytes);
  received_.erase(0, bytes);
  return answer;
}

test_server::test_server(server_options options)
    : store(std::make_unique<model::model_store>(model::options{.clock = &clock})),
      work_(context_.get_executor()) {
  options.listen = {"127.0.0.1:0"};
  options.on_request = [this](const request_record& one) {
    const std::lock_guard lock(mutex_);
    records_.push_back({std::string{one.method}, std::string{one.route},
                        std::string{one.correlation_id}, std::string{one.code}, one.status});
  };
  server_ = std::make_unique<server>(context_, *store, std::move(options));
  const result<void> started = server_->start();
  if (!started) throw std::runtime_error(started.error().detail);
  const std::string url = server_->addresses().front();
  port_ = static_cast<std::uint16_t>(std::stoul(url.substr(url.rfind(':') + 1)));
  for (int i = 0; i < 2; ++i) threads_.emplace_back([this] { context_.run(); });
}

test_server::~test_server() { stop(); }

void test_server::begin_stop() {
  stopping_ = boost::asio::co_spawn(context_, server_->stop(), boost::asio::use_future);
}

void test_server::stop() {
  if (threads_.empty()) return;
  if (!stopping_.valid()) begin_stop();
  stopping_.get();
  work_.reset();
  for (std::thread& one : threads_) one.join();
  threads_.clear();
}

std::vector<test_server::record> test_server::records() const {
  const std::lock_guard lock(mutex_);
  return records_;
}

reply test_server::ask(std::string_view line, std::string_view body,
                       std::string_view headers) const {
  raw_client client("127.0.0.1", port_);
  client.send(make_request(line, body, headers));
  std::optional<reply> answer = client.receive();
  if (!answer) throw std::runtime_error("no answer to " + std::string{line});
  return std::move(*answer);
}

std::string make_request(std::string_view line, std::string_view body, std::string_view headers) {
  std::string bytes = fmt::format("{} HTTP/1.1\r\nHost: 127.0.0.1:7070\r\n{}", line, headers);
  if (!body.empty()) {
    bytes += fmt::format("Content-Type: application/json\r\nContent-Length: {}\r\n", body.size());
  }
  bytes += "\r\n";
  bytes += body;
  return bytes;
}

}  // namespace millrace::http::testing
