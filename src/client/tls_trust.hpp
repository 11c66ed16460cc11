#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>

#include <boost/asio/ssl/context.hpp>

#include <string>

namespace millrace::client {

/// Whose word counts for who a server is: the certificate authorities of the system, or those of a
/// file. TLS 1.2 at least.
///
/// Threading: may be used from several threads once it is made.
class tls_trust final {
public:
  tls_trust();

  /// `ca_file` empty: those of the system (`SSL_CERT_FILE` and `SSL_CERT_DIR` count).
  /// Errors: invalid_argument (`ca_file`) for a file that cannot be read or holds no certificate.
  [[nodiscard]] result<void> load(const std::string& ca_file);

  [[nodiscard]] asio::ssl::context& context() const noexcept { return context_; }

private:
  // Asio takes it as changeable, and changes its reference count only.
  mutable asio::ssl::context context_;
};

}  // namespace millrace::client
