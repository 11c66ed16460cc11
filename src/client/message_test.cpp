#include <millrace/client/message.hpp>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

namespace millrace::client {
namespace {

response problem(unsigned status, std::string body) {
  return {.status = status, .headers = {}, .body = std::move(body)};
}

TEST(ExpectSuccess, LetsAnAnswerBelow400Through) {
  const auto passed = expect_success({.status = 201, .headers = {}, .body = "{}"});
  ASSERT_TRUE(passed);
  EXPECT_EQ(passed->body, "{}");
}

TEST(ExpectSuccess, ReadsTheProblem) {
  auto answer = problem(422, R"({"title":"Bad","code":"invalid_value","field":"priority",)"
                             R"("detail":"priority is 0 to 9"})");
  const auto told = expect_success(std::move(answer));
  ASSERT_FALSE(told);
  EXPECT_EQ(told.error().kind, errc::invalid_argument);
  EXPECT_EQ(told.error().code, "invalid_value");
  EXPECT_EQ(told.error().field, "priority");
  EXPECT_EQ(told.error().detail, "priority is 0 to 9");
}

TEST(ExpectSuccess, GivesEachStatusItsKind) {
  const std::pair<unsigned, errc> kinds[] = {
      {400, errc::malformed},         {401, errc::forbidden},
      {403, errc::forbidden},         {404, errc::not_found},
      {409, errc::conflict},          {412, errc::precondition_failed},
      {413, errc::too_large},         {415, errc::invalid_argument},
      {422, errc::invalid_argument},  {429, errc::exhausted},
      {500, errc::internal},          {503, errc::unavailable},
      {504, errc::deadline_exceeded}, {507, errc::storage_full},
  };
  for (const auto& [status, kind] : kinds) {
    EXPECT_EQ(expect_success(problem(status, "{}")).error().kind, kind) << status;
  }
}

TEST(ExpectSuccess, KeepsRetryAfter) {
  auto answer = problem(503, "{}");
  answer.headers.push_back({"retry-after", "7"});
  EXPECT_EQ(expect_success(std::move(answer)).error().retry_after, std::chrono::seconds{7});
}

TEST(ExpectSuccess, SaysWhatAStrangerAnswered) {
  const auto told = expect_success(problem(502, "<html>\nBad Gateway</html>"));
  ASSERT_FALSE(told);
  EXPECT_EQ(told.error().kind, errc::unavailable);
  EXPECT_EQ(told.error().code, "unavailable");
  EXPECT_EQ(told.error().detail, "the server answered 502: <html> Bad Gateway</html>");
}

TEST(ExpectSuccess, TakesNoCodeThatIsNoCode) {
  EXPECT_EQ(expect_success(problem(404, R"({"code":"Not A Code"})")).error().code, "not_found");
  EXPECT_EQ(expect_success(problem(404, R"({"code":7})")).error().code, "not_found");
}

// A stranger that makes up a code an answer must not fill the memory. In a process of its own: the
// codes are kept for the life of one, and no other test would find room for its own.
TEST(ExpectSuccess, KeepsABoundedNumberOfCodes) {
  const auto code_of = [](std::string_view made_up) {
    return expect_success(problem(404, fmt::format(R"({{"code":"{}"}})", made_up))).error().code;
  };
  const auto fill_up = [&] {
    for (std::size_t i = 0; i < foreign_codes_max; ++i) (void)code_of(fmt::format("made_up_{}", i));
    fmt::print(stderr, "{}, {}", code_of("one_too_many"), code_of("made_up_1"));
    std::exit(0);
  };
  EXPECT_EXIT(fill_up(), testing::ExitedWithCode(0), "not_found, made_up_1");
}

TEST(EncodeSegment, LeavesOnlyUnreservedCharacters) {
  EXPECT_EQ(encode_segment("aZ09-._~"), "aZ09-._~");
  EXPECT_EQ(encode_segment("a/b c%{t}\xc3\xa9"), "a%2Fb%20c%25%7Bt%7D%C3%A9");
}

TEST(Response, FindsHeadersWhateverTheirCase) {
  const response answer{.status = 200, .headers = {{"Content-Type", "text/plain"}}, .body = {}};
  EXPECT_EQ(answer.find("content-TYPE"), "text/plain");
  EXPECT_FALSE(answer.find("ETag"));
}

}  // namespace
}  // namespace millrace::client
