#include "listener.hpp"

#include "access.hpp"

#include <millrace/http/server.hpp>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <fmt/format.h>

#include <charconv>
#include <sys/stat.h>
#include <system_error>
#include <utility>

namespace millrace::http {
namespace {

using asio::ip::tcp;

struct listen_address {
  std::string host;
  std::uint16_t port{0};
};

result<listen_address> parse_listen(const std::string& text) {
  const auto refuse = [&text] {
    return invalid("listen", fmt::format("\"{}\" is no address to listen on: write address:port, "
                                         "for example 127.0.0.1:7070 or [::1]:7070.",
                                         text));
  };
  result<host_port> parts = parse_host(text);
  if (!parts || parts->port.empty()) return refuse();
  listen_address address{.host = std::move(parts->host)};
  const char* const end = parts->port.data() + parts->port.size();
  const auto [stopped, code] = std::from_chars(parts->port.data(), end, address.port);
  if (code != std::errc{} || stopped != end) return refuse();
  return address;
}

result<std::vector<tcp::endpoint>> resolve(const asio::any_io_executor& on,
                                           const std::string& text) {
  result<listen_address> parts = parse_listen(text);
  if (!parts) return std::unexpected(std::move(parts.error()));
  boost::system::error_code code;
  const auto address = asio::ip::make_address(parts->host, code);
  if (!code) return std::vector{tcp::endpoint{address, parts->port}};
  tcp::resolver resolver(on);
  const auto found =
      resolver.resolve(parts->host, std::to_string(parts->port), tcp::resolver::passive, code);
  if (code || found.empty()) {
    return invalid("listen", fmt::format("The name {} does not resolve to an address: {}.",
                                         parts->host, code.message()));
  }
  std::vector<tcp::endpoint> endpoints;
  for (const auto& one : found) endpoints.push_back(one.endpoint());
  return endpoints;
}

std::unexpected<error> listen_failed(std::string_view where,
                                     const boost::system::error_code& code) {
  if (code == asio::error::address_in_use) {
    return fail(errc::unavailable, "address_in_use",
                fmt::format("Another program listens on {} already. Stop it, or listen elsewhere "
                            "(--listen 127.0.0.1:0 takes a free port).",
                            where),
                "listen");
  }
  return fail(errc::unavailable, "listen_failed",
              fmt::format("Cannot listen on {}: {}.", where, code.message()), "listen");
}

}  // namespace

result<void> check_listen(const std::vector<std::string>& listen, bool keys_configured) {
  for (const std::string& text : listen) {
    const result<listen_address> address = parse_listen(text);
    if (!address) return std::unexpected(address.error());
    if (keys_configured || is_loopback_host(address->host)) continue;
    return fail(errc::forbidden, "listen_not_loopback",
                fmt::format("Without a key anybody who reaches {} could do anything. Listen on a "
                            "loopback address such as 127.0.0.1:{}, or configure a key first.",
                            text, address->port),
                "listen");
  }
  return {};
}

result<std::vector<tcp::acceptor>> listen_tcp(const asio::any_io_executor& on,
                                              const std::string& address) {
  result<std::vector<tcp::endpoint>> endpoints = resolve(on, address);
  if (!endpoints) return std::unexpected(std::move(endpoints.error()));
  std::vector<tcp::acceptor> acceptors;
  for (const tcp::endpoint& endpoint : *endpoints) {
    tcp::acceptor& one = acceptors.emplace_back(on);
    boost::system::error_code code;
    one.open(endpoint.protocol(), code);
    if (!code) one.set_option(tcp::acceptor::reuse_address(true), code);
    if (!code && endpoint.address().is_v6()) one.set_option(asio::ip::v6_only(true), code);
    if (!code) one.bind(endpoint, code);
    if (!code) one.listen(tcp::acceptor::max_listen_connections, code);
    if (code) return listen_failed(address, code);
  }
  return acceptors;
}

result<asio::local::stream_protocol::acceptor> listen_unix(const asio::any_io_executor& on,
                                                           const std::filesystem::path& path) {
  using asio::local::stream_protocol;
  constexpr std::size_t path_bytes_max = 107;
  if (path.native().size() > path_bytes_max) {
    return invalid("unix_socket", fmt::format("The path {} is too long for a socket: at most {} "
                                              "bytes are possible.",
                                              path.native(), path_bytes_max));
  }
  std::error_code status_code;
  if (std::filesystem::is_socket(std::filesystem::symlink_status(path, status_code))) {
    std::filesystem::remove(path, status_code);
  }
  stream_protocol::acceptor acceptor(on);
  boost::system::error_code code;
  acceptor.open(stream_protocol(), code);
  if (!code) acceptor.bind(stream_protocol::endpoint(path.native()), code);
  if (code) return listen_failed(path.native(), code);
  // Before it listens: nobody gets in while the mode is still that of the process's mask.
  if (::chmod(path.c_str(), S_IRUSR | S_IWUSR) != 0) {
    return listen_failed(path.native(), {errno, boost::system::system_category()});
  }
  acceptor.listen(stream_protocol::acceptor::max_listen_connections, code);
  if (code) return listen_failed(path.native(), code);
  return acceptor;
}

}  // namespace millrace::http
