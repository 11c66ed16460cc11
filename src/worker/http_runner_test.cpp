#include <millrace/worker/http_runner.hpp>

#include "job_line.hpp"
#include "testing_http_server.hpp"
#include "testing_runs.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <chrono>
#include <memory>
#include <string>
#include <variant>

namespace millrace {
namespace {

using server = scripted_server;

// "whsec_" and base64 of 24 times the letter k.
constexpr const char* secret = "whsec_a2tra2tra2tra2tra2tra2tra2tra2tr";

// HMAC-SHA256 from its definition (RFC 2104), so as not to check our own call with itself.
std::string sha256(const std::string& text) {
  std::string digest(32, '\0');
  EVP_Digest(text.data(), text.size(), reinterpret_cast<unsigned char*>(digest.data()), nullptr,
             EVP_sha256(), nullptr);
  return digest;
}
std::string hmac(std::string key, const std::string& text) {
  key.resize(64, '\0');
  std::string inner = key;
  std::string outer = key;
  for (char& c : inner) c = static_cast<char>(c ^ 0x36);
  for (char& c : outer) c = static_cast<char>(c ^ 0x5c);
  return sha256(outer + sha256(inner + text));
}
std::string base64(const std::string& bytes) {
  constexpr const char* digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      const char byte = i + j < bytes.size() ? bytes[i + j] : '\0';
      group = group << 8U | static_cast<unsigned char>(byte);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      const bool padding = i + j > bytes.size();
      text += padding ? '=' : digits[(group >> (18 - 6 * j)) & 63U];
    }
  }
  return text;
}

class HttpRunner : public testing::Test {
protected:
  handler_result run_against(server::script answer, http_options with = {},
                             const std::string& path = "/hook?a=1") {
    server_ = std::make_unique<server>(run_.context, std::move(answer));
    with.url = server_->url(path);
    auto runner = http_runner::create(run_.context.get_executor(), std::move(with));
    MILLRACE_ASSERT(runner.has_value());
    auto outcome = run_((*runner)->handler());
    (*runner)->close();
    return outcome;
  }

  one_run run_;
  std::unique_ptr<server> server_;
};

server::script answering(unsigned status, std::string body = {}) {
  return [status, body](const auto&) { return server::answer(status, body); };
}

TEST_F(HttpRunner, PostsTheJobAndTakesTheBodyAsResult) {
  const auto outcome = run_against(answering(200, "{\"pages\":3}"));
  ASSERT_TRUE(std::holds_alternative<job_succeeded>(outcome));
  EXPECT_EQ(std::get<job_succeeded>(outcome).result, "{\"pages\":3}");
  ASSERT_EQ(server_->asked().size(), 1U);
  const auto& request = server_->asked().front();
  EXPECT_EQ(request.method_string(), "POST");
  EXPECT_EQ(request.target(), "/hook?a=1");
  EXPECT_EQ(request.body(), worker_detail::job_line(run_.job));
  EXPECT_EQ(request["Content-Type"], "application/json");
  EXPECT_EQ(request["webhook-id"], run_.job.what.id.text());
  EXPECT_EQ(request["x-correlation-id"], "corr-7");
  EXPECT_EQ(request.count("webhook-signature"), 0U);
}

TEST_F(HttpRunner, SignsAfterStandardWebhooks) {
  run_against(answering(204), {.secrets = {secret}});
  ASSERT_EQ(server_->asked().size(), 1U);
  const auto& request = server_->asked().front();
  const std::string timestamp{request["webhook-timestamp"]};
  const auto age = std::chrono::system_clock::now() -
                   std::chrono::system_clock::from_time_t(std::stoll(timestamp));
  EXPECT_LT(age, std::chrono::minutes{1});
  const std::string signed_text =
      std::string{request["webhook-id"]} + "." + timestamp + "." + request.body();
  EXPECT_EQ(request["webhook-signature"], "v1," + base64(hmac(std::string(24, 'k'), signed_text)));
}

TEST_F(HttpRunner, FollowsNoRedirect) {
  const auto outcome = run_against([](const auto& request) {
    auto answer = server::answer(request.target() == "/hook?a=1" ? 307 : 200, "");
    answer.set("Location", "/elsewhere");
    return answer;
  });
  EXPECT_EQ(server_->asked().size(), 1U);
  ASSERT_TRUE(std::holds_alternative<job_failed>(outcome));
  EXPECT_FALSE(std::get<job_failed>(outcome).permanent);
}

TEST_F(HttpRunner, ReadsTheAnswerForAFailure) {
  const auto outcome = run_against([](const auto&) {
    auto answer = server::answer(503, "closed for today");
    answer.set("Retry-After", "30");
    return answer;
  });
  const auto& failure = std::get<job_failed>(outcome);
  EXPECT_EQ(failure.error, "HTTP 503: closed for today");
  EXPECT_EQ(failure.retry_in, std::chrono::seconds{30});
}

TEST_F(HttpRunner, RefusesAnAnswerThatIsTooLarge) {
  const auto outcome = run_against(answering(200, std::string(1'100'000, 'x')));
  EXPECT_TRUE(std::get<job_failed>(outcome).permanent);
  const auto beyond_reading = run_against(answering(200, std::string(5'000'000, 'x')));
  EXPECT_TRUE(std::get<job_failed>(beyond_reading).permanent);
}

TEST_F(HttpRunner, FailsTransientlyWhenNobodyListens) {
  server gone{run_.context, answering(200)};
  const std::string url = gone.url("/");
  gone.stop();
  const auto runner = http_runner::create(run_.context.get_executor(), {.url = url});
  ASSERT_TRUE(runner);
  const auto outcome = run_((*runner)->handler());
  EXPECT_FALSE(std::get<job_failed>(outcome).permanent);
  EXPECT_FALSE(std::get<job_failed>(outcome).error.empty());
}

// The server of these tests speaks no TLS, and sees no request.
TEST_F(HttpRunner, SpeaksTlsWhereTheUrlSaysSo) {
  server plain{run_.context, answering(200)};
  const auto runner = http_runner::create(
      run_.context.get_executor(), {.url = fmt::format("https://127.0.0.1:{}/", plain.port())});
  ASSERT_TRUE(runner);
  const auto outcome = run_((*runner)->handler());
  const auto& failure = std::get<job_failed>(outcome);
  EXPECT_TRUE(failure.error.starts_with("no TLS connection to https://127.0.0.1:"))
      << failure.error;
  EXPECT_FALSE(failure.permanent);
  EXPECT_TRUE(plain.asked().empty());
}

// The listener's queue takes the connection, and then nobody answers.
TEST_F(HttpRunner, GivesUpWhenTheRunIsMadeToEnd) {
  asio::ip::tcp::acceptor silent{run_.context, {asio::ip::make_address("127.0.0.1"), 0}};
  const auto runner = http_runner::create(
      run_.context.get_executor(),
      {.url = fmt::format("http://127.0.0.1:{}/", silent.local_endpoint().port())});
  ASSERT_TRUE(runner);
  run_.on_report = [](worker_detail::run_control& run) {
    run.stop(stop_urgency::at_once, stop_reason::hard_limit);
  };
  const auto handler = [inner = (*runner)->handler()](job_context context) {
    context.log("begins");
    return inner(std::move(context));
  };
  EXPECT_EQ(std::get<job_failed>(run_(handler)).error, "the request was given up");
}

TEST_F(HttpRunner, RefusesWhatItCannotDo) {
  const auto refused = [this](http_options options) {
    const auto made = http_runner::create(run_.context.get_executor(), std::move(options));
    return made ? error{} : made.error();
  };
  EXPECT_EQ(refused({.url = "https://example.org/", .ca_file = "/dev/null"}).field, "ca_file");
  EXPECT_EQ(refused({.url = "example.org"}).field, "http");
  EXPECT_EQ(refused({.url = "http://example.org/", .secrets = {"short"}}).field, "secret");
}

}  // namespace
}  // namespace millrace
