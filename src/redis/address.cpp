#include <millrace/redis/address.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <system_error>

namespace millrace::redis {
namespace {

constexpr std::string_view redis_scheme = "redis://";
constexpr std::string_view tls_scheme = "rediss://";
constexpr std::string_view unix_scheme = "unix://";
// Redis' own bound is its `databases`, 16 by default.
constexpr int database_max = 65'535;

std::unexpected<error> bad_url(std::string_view field, std::string_view why) {
  return invalid(std::string{field},
                 fmt::format("the address of the Redis server {}; write it as "
                             "redis://user:password@host:6379/0, rediss://… for TLS, or "
                             "unix:///path/to/redis.sock?db=0",
                             why),
                 "invalid_url");
}

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number{};
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (ec != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      plain.push_back(text[i]);
      continue;
    }
    std::uint8_t byte = 0;
    const char* const first = text.data() + i + 1;
    if (text.size() - i < 3 || std::from_chars(first, first + 2, byte, 16).ptr != first + 2) {
      return std::nullopt;
    }
    plain.push_back(static_cast<char>(byte));
    i += 2;
  }
  return plain;
}

// Cuts the user and the password off the front of what stands before the place.
result<std::string_view> take_credentials(std::string_view text, std::string_view place_end,
                                          std::string_view field, address& into) {
  // The last @ before the path: a password may hold one that was not encoded.
  const std::size_t at = text.substr(0, text.find_first_of(place_end)).rfind('@');
  if (at == std::string_view::npos) return text;
  const std::string_view credentials = text.substr(0, at);
  const std::size_t colon = std::min(credentials.find(':'), credentials.size());
  auto user = percent_decoded(credentials.substr(0, colon));
  auto password = percent_decoded(colon < credentials.size() ? credentials.substr(colon + 1)
                                                             : std::string_view{});
  if (!user || !password) return bad_url(field, "has a broken % escape in its user or password");
  if (!user->empty() && password->empty()) {
    return bad_url(field, "names a user without a password (alone, it is written :password@)");
  }
  into.user = std::move(*user);
  into.password = std::move(*password);
  return text.substr(at + 1);
}

result<void> take_database(std::string_view text, std::string_view field, address& into) {
  const auto number = parse_number<int>(text);
  if (!number || *number < 0 || *number > database_max) {
    return bad_url(field, fmt::format("has a database outside 0 to {}", database_max));
  }
  into.database = *number;
  return {};
}

result<void> take_host(std::string_view place, std::string_view field, address& into) {
  std::string_view host = place;
  std::string_view rest;
  if (place.starts_with('[')) {
    const std::size_t close = place.find(']');
    if (close == std::string_view::npos) return bad_url(field, "has an open [ before its host");
    host = place.substr(1, close - 1);
    rest = place.substr(close + 1);
  } else if (const std::size_t colon = place.find(':'); colon != std::string_view::npos) {
    host = place.substr(0, colon);
    rest = place.substr(colon);
  }
  if (host.empty()) return bad_url(field, "names no host");
  into.host = host;
  if (rest.empty()) return {};
  const auto port = rest.starts_with(':') ? parse_number<std::uint16_t>(rest.substr(1))
                                          : std::optional<std::uint16_t>{};
  if (!port || *port == 0) return bad_url(field, "has a port outside 1 to 65535");
  into.port = *port;
  return {};
}

result<address> parse_socket(std::string_view text, std::string_view field) {
  address parsed{.over = address::transport::unix_socket};
  auto rest = take_credentials(text, "/", field, parsed);
  if (!rest) return std::unexpected(std::move(rest.error()));
  const std::size_t query = std::min(rest->find('?'), rest->size());
  parsed.path = rest->substr(0, query);
  if (parsed.path.empty()) return bad_url(field, "names no socket");
  if (query == rest->size()) return parsed;
  const std::string_view option = rest->substr(query + 1);
  if (!option.starts_with("db=")) return bad_url(field, "has a query other than ?db=N");
  auto sound = take_database(option.substr(3), field, parsed);
  if (!sound) return std::unexpected(std::move(sound.error()));
  return parsed;
}

}  // namespace

std::string address::text() const {
  if (over == transport::unix_socket) return fmt::format("unix://{}?db={}", path, database);
  const bool bracketed = host.contains(':');
  return fmt::format("{}{}{}{}:{}/{}", over == transport::tls ? tls_scheme : redis_scheme,
                     bracketed ? "[" : "", host, bracketed ? "]" : "", port, database);
}

result<address> parse_address(std::string_view text, std::string_view field) {
  const bool blank = std::ranges::any_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte <= 0x20 || byte == 0x7f;
  });
  if (blank) return bad_url(field, "holds a blank or a control character");
  if (text.starts_with(unix_scheme)) return parse_socket(text.substr(unix_scheme.size()), field);
  address parsed;
  if (text.starts_with(tls_scheme)) {
    parsed.over = address::transport::tls;
    text.remove_prefix(tls_scheme.size());
  } else if (text.starts_with(redis_scheme)) {
    text.remove_prefix(redis_scheme.size());
  } else {
    return bad_url(field, "does not begin with redis://, rediss:// or unix://");
  }
  auto rest = take_credentials(text, "/?#", field, parsed);
  if (!rest) return std::unexpected(std::move(rest.error()));
  const std::size_t end = std::min(rest->find_first_of("/?#"), rest->size());
  auto sound = take_host(rest->substr(0, end), field, parsed);
  const std::string_view path = rest->substr(end);
  if (sound && path.size() > 1) {
    sound = path.starts_with('/') ? take_database(path.substr(1), field, parsed)
                                  : bad_url(field, "has something other than a database behind it");
  }
  if (!sound) return std::unexpected(std::move(sound.error()));
  return parsed;
}

}  // namespace millrace::redis
