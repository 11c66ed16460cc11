#include <millrace/client/endpoint.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <system_error>

namespace millrace::client {
namespace {

constexpr std::string_view http_scheme = "http://";
constexpr std::string_view https_scheme = "https://";
constexpr std::string_view unix_scheme = "unix:";

bool has_blank_or_control(std::string_view text) {
  return std::ranges::any_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte <= 0x20 || byte == 0x7f;
  });
}

std::unexpected<error> bad_url(std::string_view field, std::string_view text,
                               std::string_view why) {
  return invalid(std::string{field},
                 fmt::format("'{}' {}; write it as http://127.0.0.1:{}, https://HOST or "
                             "unix:/path/to/{}",
                             text, why, default_port, socket_file_name),
                 "invalid_url");
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (ec != std::errc{} || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

// Splits `host:port`, `[v6]:port` or a host alone; an empty host where that is not possible.
struct authority {
  std::string_view host;
  std::optional<std::string_view> port;
};

authority split_authority(std::string_view text) {
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) return {};
    const std::string_view rest = text.substr(close + 1);
    if (!rest.empty() && !rest.starts_with(':')) return {};
    authority split{.host = text.substr(1, close - 1), .port = {}};
    if (!rest.empty()) split.port = rest.substr(1);
    return split;
  }
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return {.host = text, .port = {}};
  return {.host = text.substr(0, colon), .port = text.substr(colon + 1)};
}

}  // namespace

std::string endpoint::text() const {
  if (over == transport::unix_socket) return fmt::format("unix:{}", path);
  return fmt::format("{}{}", tls ? https_scheme : http_scheme, host_header());
}

std::string endpoint::host_header() const {
  if (over == transport::unix_socket) return "localhost";
  if (host.contains(':')) return fmt::format("[{}]:{}", host, port);
  return fmt::format("{}:{}", host, port);
}

result<url> parse_url(std::string_view text, std::string_view field) {
  if (has_blank_or_control(text)) {
    return bad_url(field, "the URL", "holds a blank or a control character");
  }
  if (text.starts_with(unix_scheme)) {
    const std::string_view path = text.substr(unix_scheme.size());
    if (path.empty()) return bad_url(field, text, "names no socket");
    return url{.where = {.over = endpoint::transport::unix_socket, .path = std::string{path}},
               .target = "/"};
  }
  const bool tls = text.starts_with(https_scheme);
  if (!tls && !text.starts_with(http_scheme)) return bad_url(field, text, "is no URL of a server");
  text.remove_prefix(tls ? https_scheme.size() : http_scheme.size());
  const std::size_t end = std::min(text.find_first_of("/?#"), text.size());
  const std::string_view place = text.substr(0, end);
  if (place.contains('@')) return bad_url(field, "the URL", "holds a user name or a password");
  const authority split = split_authority(place);
  if (split.host.empty()) return bad_url(field, place, "names no host");
  std::uint16_t port = tls ? 443 : 80;
  if (split.port) {
    const auto parsed = parse_port(*split.port);
    if (!parsed) return bad_url(field, place, "has a port outside 1 to 65535");
    port = *parsed;
  }
  const std::string_view rest = text.substr(end);
  std::string target{rest.substr(0, rest.find('#'))};
  if (!target.starts_with('/')) target.insert(0, "/");
  return url{.where = {.over = endpoint::transport::tcp,
                       .host = std::string{split.host},
                       .port = port,
                       .path = {},
                       .tls = tls},
             .target = std::move(target)};
}

result<endpoint> resolve_endpoint(const endpoint_choice& choice) {
  const auto only_server = [](std::string_view text, std::string_view field) -> result<endpoint> {
    auto parsed = parse_url(text, field);
    if (!parsed) return std::unexpected(std::move(parsed.error()));
    if (parsed->target != "/") {
      return bad_url(field, text, "has a path, but the address of the server alone is wanted");
    }
    return std::move(parsed->where);
  };
  if (choice.flag) return only_server(*choice.flag, "--url");
  if (choice.variable && !choice.variable->empty()) {
    return only_server(*choice.variable, "MILLRACE_URL");
  }
  const std::filesystem::path socket = choice.data_directory / socket_file_name;
  std::error_code unreadable;
  if (std::filesystem::is_socket(socket, unreadable)) {
    return endpoint{.over = endpoint::transport::unix_socket, .path = socket.string()};
  }
  return endpoint{};
}

}  // namespace millrace::client
