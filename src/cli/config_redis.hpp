#pragma once

#include "config_value.hpp"

#include <millrace/cli/cli.hpp>

#include <cstdint>
#include <string>

namespace millrace::cli {

/// A Redis server in pieces, as other backends name it in the environment. It counts where no URL
/// is given.
struct redis_pieces {
  /// `REDIS_HOST`; empty: none is named.
  std::string host;
  std::uint16_t port{6379};
  std::string password;
  std::uint32_t database{0};
};

/// A URL, or `none` for the embedded engine, whatever else is set. What the URL says is looked at
/// when the engine is opened.
result<void> put_redis_url(const config_value& from, redis_settings& into);
result<void> put_redis_prefix(const config_value& from, redis_settings& into);
result<void> put_redis_durability(const config_value& from, redis_settings& into);

/// The settings, of pieces where there is no URL. The engine is the embedded one when the URL is
/// still empty then.
[[nodiscard]] redis_settings with_pieces(redis_settings settings, const redis_pieces& pieces);

}  // namespace millrace::cli
