#include "access.hpp"

#include <boost/asio/ip/address.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace millrace::http {
namespace {

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::unexpected<error> malformed_host() {
  return fail(errc::malformed, "malformed_host",
              "The Host header has to be a name or an address, with or without a port.");
}

std::unexpected<error> origin_not_allowed() {
  return fail(errc::forbidden, "origin_not_allowed",
              "A page of another site (Origin) may not call this server.", "Origin");
}

bool same_ignoring_case(std::string_view a, std::string_view b) noexcept {
  return std::ranges::equal(a, b, {}, lower, lower);
}

bool is_port(std::string_view text) noexcept {
  return text.size() <= 5 && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

bool is_host_char(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_' ||
         c == ':';
}

}  // namespace

result<host_port> parse_host(std::string_view text) {
  host_port parts;
  std::string_view port;
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) return malformed_host();
    parts.host = text.substr(1, close - 1);
    port = text.substr(close + 1);
  } else {
    const std::size_t colon = std::min(text.find(':'), text.size());
    parts.host = text.substr(0, colon);
    port = text.substr(colon);
    if (parts.host.find(':') != std::string::npos) return malformed_host();
  }
  if (!port.empty()) {
    if (port[0] != ':' || !is_port(port.substr(1))) return malformed_host();
    parts.port = port.substr(1);
  }
  std::ranges::transform(parts.host, parts.host.begin(), lower);
  if (parts.host.empty() || !std::ranges::all_of(parts.host, is_host_char)) return malformed_host();
  // A name with its root dot is the same name.
  if (parts.host.size() > 1 && parts.host.back() == '.') parts.host.pop_back();
  return parts;
}

bool is_loopback_host(std::string_view host) noexcept {
  if (host == "localhost" || host.ends_with(".localhost")) return true;
  boost::system::error_code code;
  const auto address = boost::asio::ip::make_address(std::string{host}, code);
  return !code && address.is_loopback();
}

access_check::access_check(std::vector<std::string> hosts) : hosts_(std::move(hosts)) {
  for (std::string& host : hosts_) std::ranges::transform(host, host.begin(), lower);
}

result<void> access_check::operator()(const request& what) const {
  // Only processes of this user reach the socket file, and no web page does.
  if (what.local) return {};
  result<void> host = check_host(what);
  if (!host) return host;
  const std::string_view site = what[header::sec_fetch_site];
  // Browsers say so themselves; following a link is the one thing another site may cause.
  if ((site == "cross-site" || site == "same-site") && what[header::sec_fetch_mode] != "navigate") {
    return origin_not_allowed();
  }
  if (!what.has(header::origin)) return {};
  std::string_view origin = what[header::origin];
  if (origin.starts_with("http://")) {
    origin.remove_prefix(7);
  } else if (origin.starts_with("https://")) {
    origin.remove_prefix(8);
  } else {
    return origin_not_allowed();
  }
  if (!same_ignoring_case(origin, what[header::host])) return origin_not_allowed();
  return {};
}

result<void> access_check::check_host(const request& what) const {
  const std::string_view text = what[header::host];
  if (!what.has(header::host)) {
    // No browser speaks HTTP/1.0; checks of load balancers do.
    if (what.old) return {};
    return malformed_host();
  }
  // By far the most frequent, decided without taking it apart.
  if (text.starts_with("127.0.0.1:") && is_port(text.substr(10))) return {};
  const result<host_port> parts = parse_host(text);
  if (!parts) return std::unexpected(parts.error());
  if (is_loopback_host(parts->host) || std::ranges::find(hosts_, parts->host) != hosts_.end()) {
    return {};
  }
  return fail(errc::forbidden, "host_not_allowed",
              fmt::format("This server does not answer to the Host {}. Use the address it listens "
                          "on, or configure the name (host_names).",
                          parts->host.substr(0, 128)),
              "Host");
}

}  // namespace millrace::http
