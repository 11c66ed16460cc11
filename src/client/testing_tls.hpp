#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

/// Certificates that are made on the spot, and a server that shows one. For tests.
namespace millrace::client {

template <auto Free>
struct freed_by {
  template <class Object>
  void operator()(Object* of) const {
    Free(of);
  }
};
using key_owner = std::unique_ptr<EVP_PKEY, freed_by<EVP_PKEY_free>>;
using certificate_owner = std::unique_ptr<X509, freed_by<X509_free>>;
using bio_owner = std::unique_ptr<BIO, freed_by<BIO_free_all>>;

/// A certificate and its key, signed by itself or by another.
class identity final {
public:
  /// `alternative` as OpenSSL writes it: `DNS:example.org`, `IP:127.0.0.1`; empty for an authority.
  identity(const std::string& name, const std::string& alternative, const identity* issuer)
      : key_(EVP_EC_gen("P-256")), certificate_(X509_new()) {
    X509* const made = certificate_.get();
    X509_set_version(made, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made), issuer == nullptr ? 1 : 2);
    X509_gmtime_adj(X509_getm_notBefore(made), -3600);
    X509_gmtime_adj(X509_getm_notAfter(made), 3600);
    X509_set_pubkey(made, key_.get());
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    const identity& by = issuer == nullptr ? *this : *issuer;
    X509_set_issuer_name(made, X509_get_subject_name(by.certificate_.get()));
    extend(NID_basic_constraints, issuer == nullptr ? "critical,CA:TRUE" : "CA:FALSE", by);
    if (!alternative.empty()) extend(NID_subject_alt_name, alternative, by);
    EXPECT_GT(X509_sign(made, by.key_.get(), EVP_sha256()), 0);
  }

  [[nodiscard]] std::string certificate_pem() const {
    return written([this](BIO* to) { PEM_write_bio_X509(to, certificate_.get()); });
  }
  [[nodiscard]] std::string key_pem() const {
    return written([this](BIO* to) {
      PEM_write_bio_PrivateKey(to, key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
  }

private:
  void extend(int nid, const std::string& value, const identity& by) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, by.certificate_.get(), certificate_.get(), nullptr, nullptr, 0);
    X509_EXTENSION* const made = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    X509_add_ext(certificate_.get(), made, -1);
    X509_EXTENSION_free(made);
  }

  static std::string written(const std::function<void(BIO*)>& write) {
    const bio_owner memory{BIO_new(BIO_s_mem())};
    write(memory.get());
    char* begin = nullptr;
    const long bytes = BIO_get_mem_data(memory.get(), &begin);
    return {begin, static_cast<std::size_t>(bytes)};
  }

  key_owner key_;
  certificate_owner certificate_;
};

/// Plays a part on each accepted connection that shakes hands, `connections` in all.
class tls_server final {
public:
  using stream = boost::asio::ssl::stream<boost::asio::ip::tcp::socket>;
  using part = std::function<void(stream& peer)>;

  tls_server(const identity& who, std::size_t connections, part play)
      : acceptor_(context_, {boost::asio::ip::address_v4::loopback(), 0}) {
    const std::string chain = who.certificate_pem();
    const std::string key = who.key_pem();
    tls_.use_certificate_chain({chain.data(), chain.size()});
    tls_.use_private_key({key.data(), key.size()}, boost::asio::ssl::context::pem);
    thread_ = std::jthread{[this, connections, play = std::move(play)] {
      for (std::size_t i = 0; i < connections; ++i) {
        stream peer{context_, tls_};
        boost::system::error_code ec;
        acceptor_.accept(peer.next_layer(), ec);
        if (!ec) peer.handshake(stream::server, ec);
        if (!ec) play(peer);
      }
    }};
  }

  [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  void join() { thread_.join(); }

private:
  boost::asio::io_context context_;
  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::ssl::context tls_{boost::asio::ssl::context::tls_server};
  std::jthread thread_;
};

}  // namespace millrace::client
