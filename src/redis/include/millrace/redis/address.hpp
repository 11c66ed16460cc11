#pragma once

#include <millrace/base/error.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace millrace::redis {

inline constexpr std::uint16_t default_port = 6379;

/// Where a Redis server is and as whom to speak to it.
struct address {
  enum class transport : std::uint8_t { tcp, tls, unix_socket };

  transport over{transport::tcp};
  /// Host name or address literal, IPv6 without its brackets. Not for Unix sockets.
  std::string host{"127.0.0.1"};
  std::uint16_t port{default_port};
  /// The socket's file. Unix sockets only.
  std::string path;
  /// The ACL user; empty: `default`.
  std::string user;
  /// Empty: none is sent.
  std::string password;
  int database{0};

  /// `redis://127.0.0.1:6379/2`, never with the password: for messages.
  [[nodiscard]] std::string text() const;

  friend bool operator==(const address&, const address&) = default;
};

/// Reads `redis://[user][:password@]host[:port][/database]`, `rediss://…` for TLS, and
/// `unix://[user[:password]@]/path/to/socket[?db=N]`. User and password are percent-decoded; a
/// password alone is written with its colon: `redis://:secret@host`.
///
/// Errors: invalid_argument (`invalid_url`; `field` is what the error names). It never shows the
/// password.
[[nodiscard]] result<address> parse_address(std::string_view text, std::string_view field);

}  // namespace millrace::redis
