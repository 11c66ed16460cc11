#include "run.hpp"
#include "scripted_server.hpp"
#include "testing_tls.hpp"

#include <millrace/client/api_client.hpp>

#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace millrace::client {
namespace {

using namespace std::chrono_literals;

// The data of each event, and how the stream ended.
awaitable<std::string> all_events(api_client& client) {
  auto stream = co_await client.open_events("/events");
  if (!stream) co_return stream.error().detail;
  std::string seen;
  while (true) {
    const auto next = co_await stream->next();
    if (!next) co_return seen + next.error().detail;
    if (!*next) co_return seen + "end";
    seen += (*next)->data + ",";
  }
}

class Tls : public ::testing::Test {
protected:
  void SetUp() override {
    std::string pattern = std::filesystem::temp_directory_path() / "millrace-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    std::ofstream{ca_file()} << authority_.certificate_pem();
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  [[nodiscard]] std::string ca_file() const { return directory_ / "ca.pem"; }

  // Answers requests until the other side ends.
  static void serve(tls_server::stream& peer) {
    boost::asio::streambuf buffer;
    boost::system::error_code ec;
    while (true) {
      const std::size_t head = boost::asio::read_until(peer, buffer, "\r\n\r\n", ec);
      if (ec) return;
      buffer.consume(head);
      boost::asio::write(peer, boost::asio::buffer(scripted_server::answer("200 OK", "{}")), ec);
    }
  }

  [[nodiscard]] static result<response> ask(const endpoint& where, const std::string& ca_file) {
    asio::io_context context;
    api_client client{context.get_executor(), {.where = where, .ca_file = ca_file}};
    auto answer = run(context, client.call({.target = "/health", .timeout = 10s}));
    // A second request goes over the same connection.
    if (answer) answer = run(context, client.call({.target = "/health", .timeout = 10s}));
    return answer;
  }

  identity authority_{"authority", "", nullptr};
  std::filesystem::path directory_;
};

TEST_F(Tls, SpeaksToWhoCanShowTheCertificateOfTheHost) {
  for (const auto& [host, alternative] :
       {std::pair{"localhost", "DNS:localhost"}, std::pair{"127.0.0.1", "IP:127.0.0.1"}}) {
    const identity who{"server", alternative, &authority_};
    tls_server server{who, 1, serve};
    const auto answer = ask({.host = host, .port = server.port(), .tls = true}, ca_file());
    ASSERT_TRUE(answer) << answer.error().detail;
    EXPECT_EQ(answer->body, "{}");
  }
}

TEST_F(Tls, RefusesAnotherHostsCertificate) {
  const identity who{"server", "DNS:example.org,IP:127.0.0.2", &authority_};
  for (const char* host : {"localhost", "127.0.0.1"}) {
    tls_server server{who, 1, serve};
    const auto answer = ask({.host = host, .port = server.port(), .tls = true}, ca_file());
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, "tls_failed");
    EXPECT_NE(answer.error().detail.find("mismatch"), std::string::npos) << answer.error().detail;
  }
}

TEST_F(Tls, RefusesAnAuthorityThatIsNotTrusted) {
  const identity stranger{"stranger", "", nullptr};
  const identity who{"server", "DNS:localhost", &stranger};
  for (const std::string& trusted : {ca_file(), std::string{}}) {
    tls_server server{who, 1, serve};
    const auto answer = ask({.host = "localhost", .port = server.port(), .tls = true}, trusted);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind, errc::unavailable);
    EXPECT_EQ(answer.error().code, "tls_failed");
    EXPECT_NE(answer.error().detail.find("not trusted"), std::string::npos)
        << answer.error().detail;
  }
}

TEST_F(Tls, SaysThatTheOtherSideSpeaksNone) {
  scripted_server plain{1, [](scripted_server::socket& peer, std::size_t) {
                          scripted_server::write(peer, "HTTP/1.1 400 Bad Request\r\n\r\n");
                        }};
  endpoint where = plain.where();
  where.tls = true;
  const auto answer = ask(where, ca_file());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, "tls_failed");
  EXPECT_NE(answer.error().detail.find("speaks no TLS"), std::string::npos)
      << answer.error().detail;
}

TEST_F(Tls, RefusesAFileWithoutCertificates) {
  const std::string empty = directory_ / "empty.pem";
  std::ofstream{empty} << "nothing of the kind";
  for (const std::string& file : {empty, std::string{directory_ / "absent.pem"}}) {
    EXPECT_EQ(check_ca_file(file).error().field, "ca_file");
    const auto answer = ask({.host = "localhost", .port = 1, .tls = true}, file);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind, errc::invalid_argument);
    EXPECT_NE(answer.error().detail.find(file), std::string::npos) << answer.error().detail;
  }
  EXPECT_TRUE(check_ca_file(ca_file()));
  EXPECT_TRUE(check_ca_file(""));
}

TEST_F(Tls, StreamsEvents) {
  const identity who{"server", "DNS:localhost", &authority_};
  tls_server server{
      who, 1, [](tls_server::stream& peer) {
        boost::asio::streambuf buffer;
        boost::system::error_code ec;
        boost::asio::read_until(peer, buffer, "\r\n\r\n", ec);
        boost::asio::write(
            peer,
            boost::asio::buffer(std::string{"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                                            "Transfer-Encoding: chunked\r\n\r\n"
                                            "10\r\nid: 1\ndata: a\n\n\n\r\n0\r\n\r\n"}),
            ec);
      }};
  asio::io_context context;
  api_client client{
      context.get_executor(),
      {.where = {.host = "localhost", .port = server.port(), .tls = true}, .ca_file = ca_file()}};
  EXPECT_EQ(run(context, all_events(client)), "a,end");
}

}  // namespace
}  // namespace millrace::client
