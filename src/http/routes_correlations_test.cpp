#include "http_fixture.hpp"

#include <boost/json/array.hpp>
#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

namespace millrace::http {
namespace {

using testing::reply;
using testing::test_server;

std::vector<std::string> types_of(const reply& answer, std::string_view list) {
  std::vector<std::string> out;
  const boost::json::value body = answer.json();
  for (const auto& each : body.at(list).as_array()) {
    out.emplace_back(each.at("type").as_string().c_str());
  }
  return out;
}
using list = std::vector<std::string>;

TEST(CorrelationRoutes, BringProgressJobsAndEventsTogether) {
  const test_server server;
  (void)server.ask("PUT /v1/progress/import-17", R"({"total_steps":4})");
  (void)server.ask("POST /v1/queues/a/jobs", R"({"type":"first","correlation_id":"import-17"})");
  (void)server.ask("POST /v1/queues/b/jobs", R"([{"type":"second"},{"type":"third"}])",
                   "X-Correlation-ID: import-17\r\n");
  (void)server.ask("POST /v1/events/f", R"({"type":"done","correlation_id":"import-17"})");
  (void)server.ask("POST /v1/events/g", R"({"type":"seen"})", "X-Correlation-ID: import-17\r\n");
  (void)server.ask("POST /v1/queues/a/jobs", R"({"type":"x","correlation_id":"import-18"})");

  const reply found = server.ask("GET /v1/correlations/import-17");
  ASSERT_EQ(found.status, 200U) << found.body;
  EXPECT_EQ(found.text("correlation_id"), "import-17");
  EXPECT_EQ(found.json().at("progress").at("total_steps").as_int64(), 4);
  EXPECT_EQ(types_of(found, "jobs"), (list{"third", "second", "first"}));
  EXPECT_EQ(types_of(found, "events"), (list{"seen", "done"}));
  EXPECT_EQ(found.json().at("events").at(0).at("stream").as_string(), "g");
  EXPECT_TRUE(found.json().at("complete").as_bool());
  EXPECT_TRUE(found.json().at("cursor").is_null());
}

TEST(CorrelationRoutes, AreEmptyForWhatNothingCarries) {
  const test_server server;
  const reply found = server.ask("GET /v1/correlations/no");
  EXPECT_EQ(found.status, 200U);
  EXPECT_EQ(found.body,
            R"({"correlation_id":"no","progress":null,"jobs":[],"events":[],"complete":true,)"
            R"("cursor":null})");
}

TEST(CorrelationRoutes, FindTheIdThatTheServerMade) {
  const test_server server;
  const reply made = server.ask("POST /v1/queues/a/jobs", R"({"type":"t"})");
  const reply found = server.ask("GET /v1/correlations/" + made.header("x-correlation-id"));
  EXPECT_EQ(types_of(found, "jobs"), list{"t"});
}

TEST(CorrelationRoutes, ComeInPages) {
  const test_server server;
  for (const char* type : {"1", "2", "3"}) {
    (void)server.ask("POST /v1/queues/a/jobs",
                     fmt::format(R"({{"type":"{}","correlation_id":"a/b c"}})", type));
  }
  const reply first = server.ask("GET /v1/correlations/a%2Fb%20c?limit=2");
  EXPECT_EQ(types_of(first, "jobs"), (list{"3", "2"}));
  const reply second = server.ask(
      fmt::format("GET /v1/correlations/a%2Fb%20c?limit=2&cursor={}", first.text("cursor")));
  EXPECT_EQ(types_of(second, "jobs"), list{"1"});
  EXPECT_TRUE(second.json().at("cursor").is_null());
}

TEST(CorrelationRoutes, SayWhatIsWrong) {
  const test_server server;
  EXPECT_EQ(server.ask("GET /v1/correlations/c?cursor=x").text("code"), "bad_cursor");
  EXPECT_EQ(server.ask("GET /v1/correlations/c?cursor=x").status, 400U);
  EXPECT_EQ(server.ask("GET /v1/correlations/c?limit=0").text("field"), "limit");
  EXPECT_EQ(server.ask("GET /v1/correlations/c?stream=f").status, 422U);
  const reply bad = server.ask("GET /v1/correlations/a%0Ab");
  EXPECT_EQ(bad.status, 422U);
  EXPECT_EQ(bad.text("field"), "correlation_id");
  EXPECT_EQ(server.ask("GET /v1/correlations/" + std::string(513, 'x')).status, 422U);
  EXPECT_EQ(server.ask("POST /v1/correlations/c", "{}").status, 405U);
}

}  // namespace
}  // namespace millrace::http
