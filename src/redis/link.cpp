#include "link.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <tuple>
#include <utility>
#include <vector>

namespace millrace::redis {
namespace {

constexpr auto tuple_awaitable = asio::as_tuple(asio::use_awaitable);
using clock = std::chrono::steady_clock;
using endpoint_type = asio::generic::stream_protocol::endpoint;

error unreachable(const address& where, std::string_view why) {
  return {.kind = errc::unavailable,
          .code = "redis_unreachable",
          .detail = fmt::format("no Redis server answers at {}: {}", where.text(), why)};
}

error given_up() {
  return {.kind = errc::cancelled, .code = "cancelled", .detail = "the connection was closed"};
}

// What a lookup has come to. Shared, since a name server may take minutes and cannot be hurried:
// who has stopped waiting must not be touched any more.
struct lookup {
  explicit lookup(const asio::any_io_executor& strand) : resolver(strand), waiting(strand) {}
  asio::ip::tcp::resolver resolver;
  asio::steady_timer waiting;
  std::vector<endpoint_type> found;
  bool answered{false};
};

awaitable<result<std::vector<endpoint_type>>> look_up(asio::any_io_executor strand, address where,
                                                      clock::time_point until) {
  const auto shared = std::make_shared<lookup>(strand);
  shared->waiting.expires_at(until);
  shared->resolver.async_resolve(
      where.host, std::to_string(where.port), asio::ip::resolver_base::numeric_service,
      [shared](const boost::system::error_code& ec, const auto& entries) {
        shared->answered = true;
        if (!ec) {
          for (const auto& entry : entries) shared->found.emplace_back(entry.endpoint());
        }
        shared->waiting.cancel();
      });
  if (!shared->answered) co_await shared->waiting.async_wait(tuple_awaitable);
  if (!shared->answered) {
    shared->resolver.cancel();
    co_return std::unexpected(unreachable(where, "the name lookup took too long"));
  }
  if (shared->found.empty()) {
    co_return std::unexpected(unreachable(where, "the host name is not known"));
  }
  co_return std::move(shared->found);
}

awaitable<result<std::vector<endpoint_type>>> places_of(asio::any_io_executor strand, address where,
                                                        clock::time_point until) {
  if (where.over == address::transport::unix_socket) {
    if (where.path.size() >= sizeof(sockaddr_un{}.sun_path)) {
      co_return std::unexpected(
          unreachable(where, "the path of the socket is too long; use a shorter one or TCP"));
    }
    const endpoint_type socket{asio::local::stream_protocol::endpoint{where.path}};
    co_return std::vector{socket};
  }
  boost::system::error_code not_literal;
  const auto literal = asio::ip::make_address(where.host, not_literal);
  if (!not_literal) {
    const endpoint_type place{asio::ip::tcp::endpoint{literal, where.port}};
    co_return std::vector{place};
  }
  co_return co_await look_up(std::move(strand), std::move(where), until);
}

// Cancels what a socket does once the time has passed. Both are shared with the timer's handler,
// which may be on its way when the operation ends by itself.
class time_limit final {
public:
  time_limit(const asio::any_io_executor& strand, std::shared_ptr<link> of,
             link::socket_type& socket, clock::time_point until)
      : timer_(strand, until), passed_(std::make_shared<bool>(false)) {
    timer_.async_wait([passed = passed_, of = std::move(of), &socket,
                       ended = ended_](const boost::system::error_code& ec) {
      if (ec || *ended) return;
      *passed = true;
      boost::system::error_code ignored;
      socket.cancel(ignored);
    });
  }
  ~time_limit() { *ended_ = true; }
  time_limit(const time_limit&) = delete;
  time_limit& operator=(const time_limit&) = delete;

  [[nodiscard]] bool passed() const noexcept { return *passed_; }

private:
  asio::steady_timer timer_;
  std::shared_ptr<bool> passed_;
  std::shared_ptr<bool> ended_{std::make_shared<bool>(false)};
};

}  // namespace

std::string reason_of(const boost::system::error_code& ec) {
  if (ec == asio::error::eof) return "the server closed the connection";
  if (ec.category() == asio::error::get_ssl_category()) {
    return fmt::format("TLS: {}", ec.message());
  }
  if (ec == asio::ssl::error::stream_truncated) return "the server closed the connection";
  return ec.message();
}

awaitable<result<void>> link::open(std::shared_ptr<link> self, address where, tls_options tls,
                                   when until) {
  auto connected = co_await connect(self, where, until);
  if (!connected || where.over != address::transport::tls) co_return connected;
  co_return co_await secure(self, std::move(where), std::move(tls), until);
}

awaitable<result<void>> link::connect(std::shared_ptr<link> self, address where, when until) {
  auto places = co_await places_of(self->strand_, where, until);
  if (self->closed_) co_return std::unexpected(given_up());
  if (!places) co_return std::unexpected(std::move(places.error()));
  boost::system::error_code last;
  bool too_slow = false;
  for (std::size_t i = 0; i < places->size(); ++i) {
    // An address that swallows everything leaves time for those behind it.
    const auto now = clock::now();
    const auto share = (until - now) / static_cast<int>(places->size() - i);
    {
      const time_limit limit{self->strand_, self, self->socket_, now + share};
      const auto connected = co_await self->socket_.async_connect((*places)[i], tuple_awaitable);
      last = std::get<0>(connected);
      too_slow = limit.passed();
    }
    if (self->closed_) co_return std::unexpected(given_up());
    if (!last) {
      self->set_options(where.over != address::transport::unix_socket);
      co_return result<void>{};
    }
    boost::system::error_code ignored;
    self->socket_.close(ignored);
  }
  co_return std::unexpected(unreachable(
      where, too_slow ? std::string{"it did not accept the connection in time"} : last.message()));
}

void link::set_options(bool tcp) {
  if (!tcp) return;
  const auto set = [this](int level, int name, int value) {
    // A kernel that lacks one of them is no reason to refuse.
    (void)::setsockopt(socket_.native_handle(), level, name, &value, sizeof value);
  };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, keep_alive_idle_seconds);
  set(IPPROTO_TCP, TCP_KEEPINTVL, keep_alive_interval_seconds);
  set(IPPROTO_TCP, TCP_KEEPCNT, keep_alive_probes);
}

result<void> link::make_tls(const address& where, const tls_options& tls) {
  const auto broken = [](std::string_view what, std::string_view file,
                         const boost::system::error_code& ec) {
    return fail(errc::unsupported, "tls_setup",
                fmt::format("the {} in '{}' cannot be used: {}", what, file, ec.message()));
  };
  boost::system::error_code ec;
  tls_context_.emplace(asio::ssl::context::tls_client);
  ::SSL_CTX_set_min_proto_version(tls_context_->native_handle(), TLS1_2_VERSION);
  if (tls.ca_file.empty()) {
    tls_context_->set_default_verify_paths(ec);
    if (ec) return broken("machine's certificates", "the default place", ec);
  } else if (tls_context_->load_verify_file(tls.ca_file, ec); ec) {
    return broken("certificate authority", tls.ca_file, ec);
  }
  if (!tls.certificate_file.empty()) {
    tls_context_->use_certificate_chain_file(tls.certificate_file, ec);
    if (ec) return broken("client certificate", tls.certificate_file, ec);
    const std::string& key = tls.key_file.empty() ? tls.certificate_file : tls.key_file;
    tls_context_->use_private_key_file(key, asio::ssl::context::pem, ec);
    if (ec) return broken("client key", key, ec);
  }
  tls_.emplace(socket_, *tls_context_);
  SSL* const ssl = tls_->native_handle();
  ::SSL_set_verify(ssl, SSL_VERIFY_PEER, nullptr);
  const std::string& name = tls.server_name.empty() ? where.host : tls.server_name;
  // A literal is looked for among the certificate's addresses and is not told to the server.
  if (::X509_VERIFY_PARAM_set1_ip_asc(::SSL_get0_param(ssl), name.c_str()) != 1) {
    ::SSL_set1_host(ssl, name.c_str());
    SSL_set_tlsext_host_name(ssl, name.c_str());
  }
  return {};
}

error link::tls_failure(const address& where, const boost::system::error_code& ec) {
  const long verified = ::SSL_get_verify_result(tls_->native_handle());
  if (verified != X509_V_OK) {
    return {.kind = errc::forbidden,
            .code = "tls_untrusted",
            .detail = fmt::format("the certificate of {} is not accepted: {}; give the authority "
                                  "that issued it, and the name it was issued for",
                                  where.text(), ::X509_verify_cert_error_string(verified))};
  }
  return {.kind = errc::unsupported,
          .code = "tls_failed",
          .detail = fmt::format("no TLS handshake with {}: {}; a server without TLS is written "
                                "redis://",
                                where.text(), reason_of(ec))};
}

awaitable<result<void>> link::secure(std::shared_ptr<link> self, address where, tls_options tls,
                                     when until) {
  if (auto made = self->make_tls(where, tls); !made) co_return made;
  boost::system::error_code ec;
  bool too_slow = false;
  {
    const time_limit limit{self->strand_, self, self->socket_, until};
    const auto shaken =
        co_await self->tls_->async_handshake(asio::ssl::stream_base::client, tuple_awaitable);
    ec = std::get<0>(shaken);
    too_slow = limit.passed();
  }
  if (self->closed_) co_return std::unexpected(given_up());
  if (too_slow) {
    // A Redis without TLS waits for the end of a line that never comes.
    co_return fail(errc::unsupported, "tls_failed",
                   fmt::format("no TLS handshake with {} in time; a server without TLS is written "
                               "redis://",
                               where.text()));
  }
  if (ec) co_return std::unexpected(self->tls_failure(where, ec));
  co_return result<void>{};
}

awaitable<result<std::string_view>> link::read_some(std::shared_ptr<link> self) {
  const auto into = asio::buffer(self->incoming_);
  boost::system::error_code ec;
  std::size_t got = 0;
  if (self->tls_) {
    const auto read = co_await self->tls_->async_read_some(into, tuple_awaitable);
    std::tie(ec, got) = read;
  } else {
    const auto read = co_await self->socket_.async_read_some(into, tuple_awaitable);
    std::tie(ec, got) = read;
  }
  if (self->closed_) co_return std::unexpected(given_up());
  if (ec) {
    co_return fail(errc::unavailable, "connection_lost", reason_of(ec));
  }
  co_return std::string_view{self->incoming_.data(), got};
}

std::size_t link::write_at_once() noexcept {
  if (tls_ || closed_) return 0;
  const auto written = ::send(socket_.native_handle(), outgoing_.data(), outgoing_.size(),
                              MSG_DONTWAIT | MSG_NOSIGNAL);
  return written > 0 ? static_cast<std::size_t>(written) : 0;
}

void link::write(std::size_t from,
                 std::move_only_function<void(const boost::system::error_code&)> done) {
  const auto rest = asio::buffer(outgoing_) + from;
  auto ended = [self = shared_from_this(), done = std::move(done)](
                   const boost::system::error_code& ec, std::size_t) mutable { done(ec); };
  if (tls_) {
    asio::async_write(*tls_, rest, std::move(ended));
  } else {
    asio::async_write(socket_, rest, std::move(ended));
  }
}

void link::close() noexcept {
  closed_ = true;
  boost::system::error_code ignored;
  socket_.close(ignored);
}

}  // namespace millrace::redis
