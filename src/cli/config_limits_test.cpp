#include "configured.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace millrace::cli {
namespace {

using namespace std::chrono_literals;
using engine::limit_algorithm;
using engine::limit_period;

class LimitConfiguration : public Configured {};

TEST_F(LimitConfiguration, ReadsPolicies) {
  const auto loaded = load(R"(
[limits]
legacy_headers = true
connections = 50

[limits.policies.chat]
allow = ["plan=enterprise"]
deny = ["user=mallory", "ip=10.9.*"]
limits = [
  { scope = "server", limit = 1000, window = "1m" },
  { scope = "user", fallback = "ip", limit = 100, window = "1m", when_down = "open" },
  { scope = "bot", limit = 500, window = 60, algorithm = "token_bucket", burst = 5, lease = 0.02 },
]

[[limits.policies.tokens.limits]]
scope = "user"
algorithm = "calendar"
period = "daily"
time_zone = "Europe/Rome"
limit = 100000
dry_run = true
)");
  ASSERT_TRUE(loaded) << loaded.error().field << ": " << loaded.error().detail;
  EXPECT_TRUE(loaded->limits.legacy_headers);
  EXPECT_EQ(loaded->connections_max, 50U);
  const limit_policy& chat = loaded->limits.policies.at("chat");
  ASSERT_EQ(chat.rules.size(), 3U);
  EXPECT_EQ(chat.rules[0], (limit_rule{.scope = "server", .limit = 1000, .window = 60s}));
  EXPECT_EQ(chat.rules[1], (limit_rule{.scope = "user",
                                       .fallback = "ip",
                                       .limit = 100,
                                       .window = 60s,
                                       .on_failure = when_down::open}));
  EXPECT_EQ(chat.rules[2], (limit_rule{.scope = "bot",
                                       .algorithm = limit_algorithm::token_bucket,
                                       .limit = 500,
                                       .window = 60s,
                                       .burst = 5,
                                       .lease = 0.02}));
  EXPECT_EQ(chat.allow, (std::vector<std::string>{"plan=enterprise"}));
  EXPECT_EQ(chat.deny.size(), 2U);
  EXPECT_EQ(loaded->limits.policies.at("tokens").rules[0],
            (limit_rule{.scope = "user",
                        .algorithm = limit_algorithm::calendar,
                        .limit = 100'000,
                        .period = limit_period::daily,
                        .time_zone = "Europe/Rome",
                        .dry_run = true}));
}

TEST_F(LimitConfiguration, ReadsPermitsAndPenalties) {
  const auto loaded = load(R"([limits.policies.render]
limits = [
  { scope = "user", algorithm = "concurrency", limit = 5, ttl = "45s" },
  { scope = "ip", limit = 10, window = "1m", penalty = { after = 3, for = "10m" } },
]
)");
  ASSERT_TRUE(loaded) << loaded.error().field << ": " << loaded.error().detail;
  const std::vector<limit_rule>& rules = loaded->limits.policies.at("render").rules;
  ASSERT_EQ(rules.size(), 2U);
  EXPECT_EQ(rules[0].algorithm, engine::limit_algorithm::concurrency);
  EXPECT_EQ(rules[0].window, 45s);
  EXPECT_EQ(rules[1].penalty, (engine::limit_penalty{.after = 3, .length = 10min}));
}

TEST_F(LimitConfiguration, BindsPoliciesToRoutes) {
  const auto loaded = load(R"([limits.routes]
"POST /v1/queues/{queue}/jobs" = "default"
"* /v1/*" = "clients"

[limits.policies.clients]
limits = [{ scope = "ip", limit = 5, window = "1s" }]
)");
  ASSERT_TRUE(loaded) << loaded.error().field << ": " << loaded.error().detail;
  EXPECT_EQ(loaded->limits.bindings.size(), 2U);
  const auto bound_to = [&](std::string_view method, std::string_view path) {
    const limit_binding* found = find_binding(loaded->limits, method, path);
    return found == nullptr ? std::string{} : found->policy;
  };
  EXPECT_EQ(bound_to("POST", "/v1/queues/mail/jobs"), "default");
  EXPECT_EQ(bound_to("GET", "/v1/queues/mail/jobs"), "clients");
  EXPECT_TRUE(complaint("[limits.routes]\n\"GET /health\" = \"default\"")
                  .contains("limits.routes.GET /health| health and metrics are never limited"));
  EXPECT_TRUE(complaint("[limits.routes]\n\"POST /v1/jobs\" = \"none\"")
                  .contains("there is no policy 'none'"));
}

TEST_F(LimitConfiguration, NamesTheKeyThatIsWrong) {
  const auto of = [this](std::string_view rest) {
    return complaint("[limits.policies.chat]\n" + std::string{rest});
  };
  EXPECT_EQ(of("limits = [{ scope = \"user\", limit = -1, window = \"1m\" }]"),
            "c.toml:2: limits.policies.chat.limits.0.limit| -1 is not a whole number from 1 to "
            "1000000000000");
  EXPECT_TRUE(of("limits = [{ scope = \"user\", limit = 1, window = 0 }]")
                  .starts_with("c.toml:2: limits.policies.chat.limits.0.window| 0 is not a time"));
  EXPECT_EQ(of("limits = [{ scope = \"user\", limit = 1, windw = \"1m\" }]"),
            "c.toml:2| unknown key 'limits.policies.chat.limits.0.windw'; did you mean 'window'?");
  EXPECT_TRUE(of("limit = 5").starts_with("c.toml:2| unknown key 'limits.policies.chat.limit'"));
  EXPECT_TRUE(
      of("limits = 5").starts_with("c.toml:2: limits.policies.chat.limits| 5 is not a list"));
  EXPECT_TRUE(of("limits = [{ scope = \"user\", window = \"1m\" }]")
                  .starts_with("limits.policies.chat.limits[0].limit| "));
  EXPECT_TRUE(of("allow = [\"plan\"]\nlimits = [{ scope = \"user\", limit = 1, window = \"1m\" }]")
                  .starts_with("limits.policies.chat.allow[0]| 'plan' is no entry"));
  EXPECT_TRUE(
      of("allow = [\"plan=pro\"]").starts_with("limits.policies.chat.limits| a policy has"));
  EXPECT_TRUE(
      of("limits = [{ scope = \"user\", limit = 1, algorithm = \"leaky\" }]")
          .starts_with("c.toml:2: limits.policies.chat.limits.0.algorithm| 'leaky' is not"));
  const auto of_penalty = [&of](std::string_view rest) {
    return of("limits = [{ scope = \"ip\", limit = 1, window = \"1m\", penalty = { " +
              std::string{rest} + " } }]");
  };
  EXPECT_TRUE(of_penalty("after = 0, for = \"1m\"")
                  .starts_with("c.toml:2: limits.policies.chat.limits.0.penalty.after| 0 is not"));
  EXPECT_TRUE(of_penalty("after = 1, fro = \"1m\"").contains("did you mean 'for'?"));
  EXPECT_TRUE(of_penalty("after = 1").starts_with("limits.policies.chat.limits[0].penalty.for| "));
  EXPECT_TRUE(of("limits = [{ scope = \"ip\", algorithm = \"concurrency\", limit = 1, ttl = 0 }]")
                  .starts_with("c.toml:2: limits.policies.chat.limits.0.ttl| 0 is not a time"));
  EXPECT_TRUE(complaint("[limits]\nlegacy_headers = \"perhaps\"")
                  .starts_with("c.toml:2: limits.legacy_headers| 'perhaps' is not true or false"));
  EXPECT_TRUE(complaint("[limits.policies.\"a b\"]\nallow = []").starts_with("c.toml:2| "));
}

}  // namespace
}  // namespace millrace::cli
