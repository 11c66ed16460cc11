#include "wire_stream.hpp"

#include "tls_trust.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

namespace millrace::client {
namespace {

// Whose certificate is wanted; false where memory is short.
bool expect_peer(SSL* session, const std::string& host) {
  boost::system::error_code no_address;
  (void)asio::ip::make_address(host, no_address);
  if (!no_address) {
    return ::X509_VERIFY_PARAM_set1_ip_asc(::SSL_get0_param(session), host.c_str()) == 1;
  }
  ::SSL_set_hostflags(session, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  // The name is told to the server as well, since one address may serve several.
  return ::SSL_set1_host(session, host.c_str()) == 1 &&
         SSL_set_tlsext_host_name(session, host.c_str()) == 1;
}

}  // namespace

// borrows: awaited in place.
awaitable<std::string> wire_stream::secure(const tls_trust& trust, const std::string& host) {
  tls_ = std::make_unique<asio::ssl::stream<plain_stream&>>(plain_, trust.context());
  SSL* const session = tls_->native_handle();
  if (!expect_peer(session, host)) co_return "the name of the host cannot be checked";
  const auto shaken = co_await tls_->async_handshake(asio::ssl::stream_base::client,
                                                     asio::as_tuple(asio::use_awaitable));
  const boost::system::error_code ec = std::get<0>(shaken);
  if (!ec) co_return std::string{};
  const long verdict = ::SSL_get_verify_result(session);
  if (verdict == X509_V_OK) {
    const bool no_tls =
        ERR_GET_REASON(static_cast<unsigned long>(ec.value())) == SSL_R_WRONG_VERSION_NUMBER;
    co_return no_tls ? "what answers there speaks no TLS; is it http?" : ec.message();
  }
  co_return fmt::format("its certificate is not trusted: {}",
                        ::X509_verify_cert_error_string(verdict));
}

}  // namespace millrace::client
