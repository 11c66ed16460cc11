#include "limit_bindings.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>

namespace millrace {
namespace {

using namespace std::chrono_literals;

limit_settings bound(std::string requests, std::string policy = "clients") {
  limit_settings settings;
  settings.policies["clients"] = {.rules = {{.scope = "ip", .limit = 5, .window = 1s}}};
  settings.policies["users"] = {.rules = {{.scope = "user", .limit = 5, .window = 1s}}};
  settings.policies["permits"] = {.rules = {{.scope = "ip",
                                             .algorithm = engine::limit_algorithm::concurrency,
                                             .limit = 5,
                                             .window = 1s}}};
  settings.bindings.push_back({std::move(requests), std::move(policy)});
  return settings;
}

bool fits(std::string requests, std::string_view method, std::string_view path) {
  return find_binding(bound(std::move(requests)), method, path) != nullptr;
}

TEST(LimitBinding, FitsByMethodAndSegments) {
  EXPECT_TRUE(fits("POST /v1/jobs", "POST", "/v1/jobs"));
  EXPECT_FALSE(fits("POST /v1/jobs", "GET", "/v1/jobs"));
  EXPECT_FALSE(fits("POST /v1/jobs", "POST", "/v1/jobs/1"));
  EXPECT_FALSE(fits("POST /v1/jobs/1", "POST", "/v1/jobs"));
  EXPECT_TRUE(fits("* /v1/queues/{queue}/jobs", "POST", "/v1/queues/mail/jobs"));
  EXPECT_TRUE(fits("* /v1/queues/*/jobs", "GET", "/v1/queues/mail/jobs"));
  EXPECT_FALSE(fits("* /v1/queues/*/jobs", "GET", "/v1/queues/mail/cron"));
  EXPECT_TRUE(fits("* /v1/*", "GET", "/v1/queues/mail/cron"));
  EXPECT_TRUE(fits("* /*", "GET", "/"));
  EXPECT_TRUE(fits("POST /v1/jobs/{id}:ack", "POST", "/v1/jobs/7:ack"));
  EXPECT_FALSE(fits("POST /v1/jobs/{id}:ack", "POST", "/v1/jobs/7:fail"));
  EXPECT_FALSE(fits("POST /v1/limits:check", "POST", "/v1/limits:reset"));
}

TEST(LimitBinding, NeverLimitsHealth) {
  EXPECT_FALSE(fits("* /*", "GET", "/health"));
  EXPECT_FALSE(fits("* /*", "GET", "/health/redis"));
  EXPECT_FALSE(fits("* /*", "GET", "/metrics"));
  EXPECT_TRUE(fits("* /*", "GET", "/healthy"));
}

TEST(LimitBinding, TheLongestThatFitsCounts) {
  limit_settings settings = bound("* /*");
  settings.bindings.push_back({"* /v1/jobs", "users"});
  settings.bindings.push_back({"POST /v1/jobs", "default"});
  EXPECT_EQ(find_binding(settings, "POST", "/v1/jobs")->policy, "default");
  EXPECT_EQ(find_binding(settings, "GET", "/v1/jobs")->policy, "users");
  EXPECT_EQ(find_binding(settings, "GET", "/v1/cache")->policy, "clients");
}

TEST(LimitBinding, RefusesWhatCannotBeDecided) {
  const auto word = [](std::string requests, std::string policy) {
    const auto sound = check_limit_settings(bound(std::move(requests), std::move(policy)));
    return sound ? std::string("sound") : sound.error().field + "| " + sound.error().detail;
  };
  EXPECT_EQ(word("POST /v1/jobs", "clients"), "sound");
  EXPECT_EQ(word("POST /v1/jobs", "default"), "sound") << "its user falls back to the ip";
  EXPECT_TRUE(word("FETCH /v1/jobs", "clients").contains("names no requests"));
  EXPECT_TRUE(word("/v1/jobs", "clients").contains("names no requests"));
  EXPECT_TRUE(word("GET /health", "clients").contains("never limited"));
  EXPECT_TRUE(word("POST /v1/jobs", "none").contains("limits.policies.none"));
  EXPECT_TRUE(word("POST /v1/jobs", "permits").contains("nobody would release"));
  EXPECT_TRUE(word("POST /v1/jobs", "users").starts_with("routes.POST /v1/jobs| "));
}

}  // namespace
}  // namespace millrace
