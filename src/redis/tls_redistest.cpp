// TLS against a real redis-server, with certificates made for the test.

#include "testing_redis.hpp"

#include <millrace/base/testing.hpp>
#include <millrace/redis/connection.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace millrace::redis {
namespace {

using namespace std::chrono_literals;
using testing::redis_server;
using testing::run_program;
using testing::scratch_directory;

// An authority, and certificates it has issued.
class certificates final {
public:
  certificates() {
    make_authority("ca");
    make_authority("other");
    issue("server", "DNS:localhost");
    issue("literal", "IP:127.0.0.1");
    issue("client", "DNS:client");
  }

  [[nodiscard]] std::string file(const std::string& name) const { return directory_.file(name); }

private:
  void make_authority(const std::string& name) const {
    run({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=" + name, "-keyout", file(name + ".key"), "-out",
         file(name + ".crt")});
  }
  void issue(const std::string& name, const std::string& alternative) const {
    run({"openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-subj", "/CN=" + name, "-addext", "subjectAltName=" + alternative, "-keyout",
         file(name + ".key"), "-out", file(name + ".csr")});
    run({"openssl", "x509", "-req", "-in", file(name + ".csr"), "-CA", file("ca.crt"), "-CAkey",
         file("ca.key"), "-CAcreateserial", "-days", "2", "-copy_extensions", "copy", "-out",
         file(name + ".crt")});
  }
  static void run(std::vector<std::string> words) {
    if (!run_program(std::move(words))) throw std::runtime_error("openssl failed");
  }

  scratch_directory directory_;
};

const certificates& made() {
  static const certificates all;
  return all;
}

std::vector<std::string> tls_settings(const std::string& certificate, const std::string& clients) {
  return {"--tls-port",         "{tls}",
          "--tls-cert-file",    made().file(certificate + ".crt"),
          "--tls-key-file",     made().file(certificate + ".key"),
          "--tls-ca-cert-file", made().file("ca.crt"),
          "--tls-auth-clients", clients};
}

redis_server& open_server() {
  static redis_server server{tls_settings("server", "no")};
  return server;
}

awaitable<result<reply>> ping(connection_options options) {
  connection to{co_await asio::this_coro::executor, std::move(options)};
  auto ready = co_await to.ready();
  if (!ready) {
    to.close();
    co_return std::unexpected(ready.error());
  }
  // Larger than one record either way.
  const std::string large(100'000, 'x');
  auto got = co_await to.call(command{"ECHO"}.arg(large), 15s);
  EXPECT_TRUE(got && got->text() == large);
  auto pong = co_await to.call(command{"PING"}, 15s);
  co_await to.stop();
  co_return pong;
}

struct attempt {
  std::string host{"localhost"};
  std::string ca{"ca.crt"};
  std::string client;
  std::string server_name;
  bool tls{true};
  /// The port that speaks the other.
  bool other_port{false};
};

std::string outcome(const redis_server& server, const attempt& how) {
  connection_options options;
  options.where = {.over = how.tls ? address::transport::tls : address::transport::tcp,
                   .host = how.host,
                   .port = how.tls != how.other_port ? server.tls_port() : server.port()};
  options.tls.ca_file = how.ca.empty() ? "" : made().file(how.ca);
  if (!how.client.empty()) {
    options.tls.certificate_file = made().file(how.client + ".crt");
    options.tls.key_file = made().file(how.client + ".key");
  }
  options.tls.server_name = how.server_name;
  if (how.other_port) options.connect_timeout = 300ms;
  const auto got = run_coro(ping(std::move(options)));
  if (got) return std::string{got->text()};
  EXPECT_FALSE(got.error().detail.empty());
  return std::string{got.error().code} + ": " + got.error().detail;
}

TEST(RedisTls, SpeaksToAServerItTrusts) {
  EXPECT_EQ(outcome(open_server(), {}), "PONG");
  EXPECT_EQ(outcome(open_server(), {.host = "127.0.0.1", .server_name = "localhost"}), "PONG");
}

TEST(RedisTls, RefusesAServerItDoesNotTrust) {
  EXPECT_TRUE(outcome(open_server(), {.ca = "other.crt"}).starts_with("tls_untrusted"));
  EXPECT_TRUE(outcome(open_server(), {.ca = ""}).starts_with("tls_untrusted"));
  const std::string other_name = outcome(open_server(), {.server_name = "example.org"});
  EXPECT_TRUE(other_name.starts_with("tls_untrusted")) << other_name;
  EXPECT_NE(other_name.find("ostname mismatch"), std::string::npos) << other_name;
  EXPECT_TRUE(outcome(open_server(), {.host = "127.0.0.1"}).starts_with("tls_untrusted"));
}

TEST(RedisTls, ChecksAddressLiteralsToo) {
  const redis_server server{tls_settings("literal", "no")};
  EXPECT_EQ(outcome(server, {.host = "127.0.0.1"}), "PONG");
  EXPECT_TRUE(outcome(server, {.host = "localhost"}).starts_with("tls_untrusted"));
}

TEST(RedisTls, ShowsItsOwnCertificate) {
  const redis_server server{tls_settings("server", "yes")};
  EXPECT_EQ(outcome(server, {.client = "client"}), "PONG");
  const std::string without = outcome(server, {});
  EXPECT_NE(without.find("certificate required"), std::string::npos) << without;
}

TEST(RedisTls, NamesAFileThatCannotBeUsed) {
  const std::string missing = outcome(open_server(), {.ca = "missing.crt"});
  EXPECT_TRUE(missing.starts_with("tls_setup")) << missing;
  EXPECT_NE(missing.find("missing.crt"), std::string::npos);
  EXPECT_TRUE(outcome(open_server(), {.client = "missing"}).starts_with("tls_setup"));
}

TEST(RedisTls, TellsAPortThatSpeaksTheOther) {
  const std::string to_plain = outcome(open_server(), {.other_port = true});
  EXPECT_TRUE(to_plain.starts_with("tls_failed")) << to_plain;
  EXPECT_NE(to_plain.find("redis://"), std::string::npos);
  const std::string to_tls = outcome(open_server(), {.tls = false, .other_port = true});
  EXPECT_NE(to_tls.find("rediss://"), std::string::npos) << to_tls;
}

}  // namespace
}  // namespace millrace::redis
