#include "tls_trust.hpp"

#include <fmt/format.h>

#include <array>

namespace millrace::client {

tls_trust::tls_trust() : context_(asio::ssl::context::tls_client) {
  boost::system::error_code ignored;
  context_.set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                           asio::ssl::context::no_tlsv1_1,
                       ignored);
  context_.set_verify_mode(asio::ssl::verify_peer, ignored);
  // Servers that also speak HTTP/2 would choose it otherwise.
  constexpr std::array<unsigned char, 9> protocols{8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  ::SSL_CTX_set_alpn_protos(context_.native_handle(), protocols.data(), protocols.size());
}

result<void> tls_trust::load(const std::string& ca_file) {
  boost::system::error_code ec;
  if (ca_file.empty()) {
    context_.set_default_verify_paths(ec);
    if (!ec) return {};
    return fail(errc::unavailable, "tls_failed",
                fmt::format("the certificate authorities of the system cannot be read: {}; name a "
                            "file of them",
                            ec.message()));
  }
  context_.load_verify_file(ca_file, ec);
  if (!ec) return {};
  return invalid("ca_file", fmt::format("'{}' holds no certificate authorities: a readable file of "
                                        "certificates in PEM is wanted",
                                        ca_file));
}

}  // namespace millrace::client
