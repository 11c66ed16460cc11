#pragma once

#include <millrace/base/error.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::client {

/// The port of a server that was told no other.
inline constexpr std::uint16_t default_port = 7070;
/// The data directory of a server that was told no other, relative to where it was started.
inline constexpr std::string_view default_data_directory = ".millrace";
/// The Unix socket of a server, inside its data directory.
inline constexpr std::string_view socket_file_name = "millrace.sock";

/// Where an HTTP server listens.
struct endpoint {
  enum class transport : std::uint8_t { tcp, unix_socket };

  transport over{transport::tcp};
  /// Host name or address literal, IPv6 without its brackets. TCP only.
  std::string host{"127.0.0.1"};
  std::uint16_t port{default_port};
  /// The socket's file. Unix sockets only.
  std::string path;
  /// Speaks TLS. TCP only.
  bool tls{false};

  /// `http://127.0.0.1:7070`, `https://example.org:443`, `unix:/srv/.millrace/millrace.sock`: what
  /// `parse_url` reads.
  [[nodiscard]] std::string text() const;
  /// What belongs into the `Host` header.
  [[nodiscard]] std::string host_header() const;

  friend bool operator==(const endpoint&, const endpoint&) = default;
};

/// An endpoint and what to ask it for.
struct url {
  endpoint where;
  /// Path and query, at least `/`.
  std::string target{"/"};
};

/// Reads `http://host[:port][/path][?query]`, `https://…` or `unix:/path/to/socket`. The port is
/// 80, with `https` 443, where none is named.
///
/// Errors: invalid_argument (`field` is what the error names).
[[nodiscard]] result<url> parse_url(std::string_view text, std::string_view field);

/// From where a command may learn which server to speak to.
struct endpoint_choice {
  /// `--url`; empty when not given.
  std::optional<std::string> flag;
  /// `MILLRACE_URL`; empty or unset counts as not given.
  std::optional<std::string> variable;
  /// Where a local server keeps its socket.
  std::filesystem::path data_directory{default_data_directory};
};

/// The first there is: the flag, the variable, the Unix socket in the data directory, the default
/// loopback address. A socket that is there but dead is not passed over: the loopback address may
/// belong to another server with other data.
[[nodiscard]] result<endpoint> resolve_endpoint(const endpoint_choice& choice);

}  // namespace millrace::client
