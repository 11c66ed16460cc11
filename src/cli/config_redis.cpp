#include "config_redis.hpp"

#include <millrace/base/names.hpp>

#include <fmt/format.h>

#include <utility>

namespace millrace::cli {
namespace {

constexpr std::string_view no_redis = "none";

// RFC 3986: what is not unreserved, so that a password may hold any character.
std::string percent_encoded(std::string_view text) {
  constexpr std::string_view unreserved =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  std::string out;
  for (const char c : text) {
    if (unreserved.contains(c)) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

}  // namespace

result<void> put_redis_url(const config_value& from, redis_settings& into) {
  auto text = from.as_text();
  if (!text) return std::unexpected(std::move(text.error()));
  if (text->empty()) return from.refuse("a URL like redis://127.0.0.1:6379, or none");
  into.url = std::move(*text);
  into.url_from = from.place();
  return {};
}

result<void> put_redis_prefix(const config_value& from, redis_settings& into) {
  auto text = from.as_text();
  if (!text) return std::unexpected(std::move(text.error()));
  if (auto sound = check_name(*text, from.place()); !sound) return sound;
  into.prefix = std::move(*text);
  return {};
}

result<void> put_redis_durability(const config_value& from, redis_settings& into) {
  const auto text = from.as_choice({"durable", "async", "memory"});
  if (!text) return std::unexpected(text.error());
  into.strongest = engine::parse_durability(*text);
  return {};
}

redis_settings with_pieces(redis_settings settings, const redis_pieces& pieces) {
  if (settings.url == no_redis) {
    settings.url.clear();
  } else if (settings.url.empty() && !pieces.host.empty()) {
    const bool literal = pieces.host.contains(':');
    const std::string host = literal ? fmt::format("[{}]", pieces.host) : pieces.host;
    const std::string secret = pieces.password.empty()
                                   ? std::string{}
                                   : fmt::format(":{}@", percent_encoded(pieces.password));
    settings.url = fmt::format("redis://{}{}:{}/{}", secret, host, pieces.port, pieces.database);
    settings.url_from = "REDIS_HOST";
  }
  return settings;
}

}  // namespace millrace::cli
