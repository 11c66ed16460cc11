#pragma once

#include "message.hpp"

#include <millrace/base/error.hpp>

#include <string>
#include <string_view>
#include <vector>

/// Who may talk to the server at all, before any key: it answers only requests that are addressed
/// to it, so that a web page can neither post to loopback nor point its own name there.
namespace millrace::http {

/// `host:port` taken apart; the host without brackets, in lower case.
struct host_port {
  std::string host;
  std::string port;
};
/// Takes `host`, `host:port`, `[v6]` and `[v6]:port`. Errors: malformed (malformed_host).
[[nodiscard]] result<host_port> parse_host(std::string_view text);

/// `localhost`, 127.0.0.0/8 or ::1.
[[nodiscard]] bool is_loopback_host(std::string_view host) noexcept;

class access_check final {
public:
  /// `hosts`: the names and addresses, besides loopback, that the server answers to.
  explicit access_check(std::vector<std::string> hosts);

  /// Errors: malformed (malformed_host), forbidden (host_not_allowed, origin_not_allowed).
  [[nodiscard]] result<void> operator()(const request& what) const;

private:
  [[nodiscard]] result<void> check_host(const request& what) const;

  std::vector<std::string> hosts_;
};

}  // namespace millrace::http
