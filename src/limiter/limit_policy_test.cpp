#include <millrace/limiter/limit_policy.hpp>

#include <millrace/base/text_time.hpp>

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace millrace {
namespace {

using namespace std::chrono_literals;
using engine::limit_algorithm;
using engine::limit_period;

limit_rule rule(std::string scope = "user") {
  return {.scope = std::move(scope), .limit = 100, .window = 60s};
}

limit_rule budget() {
  return {.scope = "user",
          .algorithm = limit_algorithm::calendar,
          .limit = 100'000,
          .period = limit_period::daily,
          .time_zone = "Europe/Rome"};
}

std::string wrong_field(limit_policy policy) {
  limit_settings settings;
  settings.policies.emplace("chat", std::move(policy));
  const auto checked = check_limit_settings(settings);
  if (checked) return "sound";
  EXPECT_FALSE(checked.error().detail.empty());
  return checked.error().field;
}

TEST(LimitSettings, TakeASoundPolicy) {
  EXPECT_EQ(wrong_field({.rules = {rule("global"), rule(), budget()},
                         .allow = {"plan=enterprise", "ip=10.0.*"},
                         .deny = {"user=mallory"}}),
            "sound");
  EXPECT_TRUE(check_limit_settings(default_limit_settings()));
}

TEST(LimitSettings, NameTheKeyThatIsWrong) {
  const auto of = [](auto change) {
    limit_rule one = rule();
    change(one);
    return wrong_field({.rules = {rule("ip"), one}});
  };
  EXPECT_EQ(of([](auto& r) { r.scope = ""; }), "policies.chat.limits[1].scope");
  EXPECT_EQ(of([](auto& r) { r.limit = 0; }), "policies.chat.limits[1].limit");
  EXPECT_EQ(of([](auto& r) { r.window = 0s; }), "policies.chat.limits[1].window");
  EXPECT_EQ(of([](auto& r) { r.burst = 2; }), "policies.chat.limits[1].burst");
  EXPECT_EQ(of([](auto& r) { r.fallback = "a b"; }), "policies.chat.limits[1].fallback");
  EXPECT_EQ(of([](auto& r) { r.period = limit_period::daily; }), "policies.chat.limits[1].period");
  EXPECT_EQ(of([](auto& r) { r.scope = "ip"; }), "policies.chat.limits[1]");
  EXPECT_EQ(of([](auto& r) {
              r = budget();
              r.time_zone = "Europe/Rom";
            }),
            "policies.chat.limits[1].time_zone");
  EXPECT_EQ(of([](auto& r) {
              r = budget();
              r.window = 60s;
            }),
            "policies.chat.limits[1].window");
  EXPECT_EQ(of([](auto& r) {
              r = budget();
              r.period = limit_period::none;
            }),
            "policies.chat.limits[1].period");
  EXPECT_EQ(of([](auto& r) { r.penalty.after = 3; }), "policies.chat.limits[1].penalty.for");
  EXPECT_EQ(of([](auto& r) { r.penalty.length = 1s; }), "policies.chat.limits[1].penalty.after");
  EXPECT_EQ(of([](auto& r) {
              r.scope = "global";
              r.penalty = {.after = 3, .length = 1s};
            }),
            "policies.chat.limits[1].penalty");
  EXPECT_EQ(of([](auto& r) {
              r.lease = 0.01;
              r.penalty = {.after = 3, .length = 1s};
            }),
            "policies.chat.limits[1].penalty");
  EXPECT_EQ(of([](auto& r) {
              r.algorithm = limit_algorithm::concurrency;
              r.lease = 0.01;
            }),
            "policies.chat.limits[1].lease");
  EXPECT_EQ(of([](auto& r) {
              r.algorithm = limit_algorithm::concurrency;
              r.window = 25h;
            }),
            "policies.chat.limits[1].ttl");
  EXPECT_EQ(wrong_field({}), "policies.chat.limits");
  EXPECT_EQ(wrong_field({.rules = std::vector<limit_rule>(9, rule())}), "policies.chat.limits");
  EXPECT_EQ(wrong_field({.rules = {rule()}, .allow = {"plan"}}), "policies.chat.allow[0]");
  EXPECT_EQ(wrong_field({.rules = {rule()}, .deny = {"a=b", "x y=1"}}), "policies.chat.deny[1]");
  limit_settings named;
  named.policies.emplace("a b", limit_policy{.rules = {rule()}});
  EXPECT_FALSE(check_limit_settings(named));
}

TEST(LimitPolicy, IsFoundByItsNameOrNeedsNoConfiguration) {
  limit_settings settings;
  ASSERT_NE(find_policy(settings, "default"), nullptr);
  EXPECT_EQ(find_policy(settings, "default")->rules[0].fallback, "ip");
  EXPECT_EQ(find_policy(settings, "chat"), nullptr);
  settings.policies.emplace("default", limit_policy{.rules = {rule("ip")}});
  EXPECT_EQ(find_policy(settings, "default")->rules[0].scope, "ip");
}

std::pair<std::string, std::string> span(limit_period what, std::string_view zone,
                                         std::string_view at) {
  const auto found = calendar_span_at(what, zone, parse_rfc3339(at, "at").value());
  EXPECT_TRUE(found);
  return {to_rfc3339(found->start), to_rfc3339(found->end)};
}

using bounds = std::pair<std::string, std::string>;

TEST(CalendarSpan, IsTheDayOfTheZone) {
  using enum limit_period;
  EXPECT_EQ(span(daily, "UTC", "2026-03-10T23:59:59.999Z"),
            bounds("2026-03-10T00:00:00.000Z", "2026-03-11T00:00:00.000Z"));
  EXPECT_EQ(span(daily, "UTC", "2026-03-11T00:00:00Z"),
            bounds("2026-03-11T00:00:00.000Z", "2026-03-12T00:00:00.000Z"));
  EXPECT_EQ(span(daily, "Europe/Rome", "2026-01-10T23:30:00Z"),
            bounds("2026-01-10T23:00:00.000Z", "2026-01-11T23:00:00.000Z"));
  EXPECT_EQ(span(daily, "America/New_York", "2026-01-11T04:59:59Z"),
            bounds("2026-01-10T05:00:00.000Z", "2026-01-11T05:00:00.000Z"));
}

TEST(CalendarSpan, IsShorterOrLongerWhereTheClockIsTurned) {
  using enum limit_period;
  EXPECT_EQ(span(daily, "Europe/Rome", "2026-03-29T12:00:00Z"),
            bounds("2026-03-28T23:00:00.000Z", "2026-03-29T22:00:00.000Z"));
  EXPECT_EQ(span(daily, "Europe/Rome", "2026-10-25T12:00:00Z"),
            bounds("2026-10-24T22:00:00.000Z", "2026-10-25T23:00:00.000Z"));
  // Midnight is skipped: the day begins at one.
  EXPECT_EQ(span(daily, "Africa/Cairo", "2026-04-24T12:00:00Z"),
            bounds("2026-04-23T22:00:00.000Z", "2026-04-24T21:00:00.000Z"));
  // Midnight comes twice: what is shown of the old day again belongs to the new one.
  EXPECT_EQ(span(daily, "America/Havana", "2026-11-01T04:30:00Z").first,
            "2026-11-01T04:00:00.000Z");
  EXPECT_EQ(span(daily, "America/Havana", "2026-11-01T05:30:00Z").first,
            "2026-11-01T04:00:00.000Z");
}

TEST(CalendarSpan, IsTheWeekFromMondayAndTheMonth) {
  using enum limit_period;
  EXPECT_EQ(span(weekly, "UTC", "2026-03-15T12:00:00Z"),
            bounds("2026-03-09T00:00:00.000Z", "2026-03-16T00:00:00.000Z"));
  EXPECT_EQ(span(weekly, "UTC", "2026-03-16T00:00:00Z").first, "2026-03-16T00:00:00.000Z");
  EXPECT_EQ(span(monthly, "UTC", "2026-12-31T23:00:00Z"),
            bounds("2026-12-01T00:00:00.000Z", "2027-01-01T00:00:00.000Z"));
  EXPECT_EQ(span(monthly, "Europe/Rome", "2026-12-31T23:00:00Z").first, "2026-12-31T23:00:00.000Z");
}

TEST(CalendarSpan, NeedsAZoneThatThereIs) {
  const auto found = calendar_span_at(limit_period::daily, "Mars/Olympus", timestamp{});
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, "unknown_time_zone");
}

}  // namespace
}  // namespace millrace
