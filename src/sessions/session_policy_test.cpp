#include <millrace/sessions/session_policy.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <string>
#include <vector>

namespace millrace::sessions {
namespace {

using namespace std::chrono_literals;
using changes = std::vector<field_change>;

constexpr timestamp start{1'767'225'600s};

TEST(SessionId, IsNeverTheSame) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = new_session_id();
    EXPECT_TRUE(is_session_id(id)) << id;
    EXPECT_TRUE(seen.insert(id).second);
  }
  EXPECT_FALSE(is_session_id(""));
  EXPECT_FALSE(is_session_id(std::string(42, 'a')));
  EXPECT_FALSE(is_session_id(std::string(42, 'a') + "+"));
}

TEST(SessionRules, AreChecked) {
  EXPECT_TRUE(check_rules({}, "sessions"));
  EXPECT_TRUE(check_rules({.idle = 2h, .absolute = 24h, .touch_every = 0s}, "sessions"));
  EXPECT_EQ(check_rules({.idle = 0s}, "sessions").error().field, "sessions.idle");
  EXPECT_EQ(check_rules({.idle = 366 * 24h}, "sessions").error().field, "sessions.idle");
  EXPECT_EQ(check_rules({.absolute = -1s}, "sessions").error().field, "sessions.absolute");
  EXPECT_EQ(check_rules({.touch_every = -1s}, "sessions").error().field, "sessions.touch_every");
  EXPECT_EQ(check_rules({.idle = 60s}, "sessions").error().field, "sessions.touch_every");
}

TEST(SessionTimes, EndWithoutUse) {
  const session_rules rules{.idle = 1h};
  const session_times times = begin_session(rules, start);
  EXPECT_EQ(times, (session_times{start, start, start + 1h}));
  EXPECT_FALSE(has_ended(times, start + 1h - 1us));
  EXPECT_TRUE(has_ended(times, start + 1h));
  EXPECT_FALSE(touched(rules, times, start + 1h));
}

TEST(SessionTimes, UseMovesTheEndButNotAllTheTime) {
  const session_rules rules{.idle = 1h, .touch_every = 60s};
  const session_times times = begin_session(rules, start);
  EXPECT_FALSE(touched(rules, times, start + 60s - 1us));
  const auto moved = touched(rules, times, start + 60s);
  ASSERT_TRUE(moved);
  EXPECT_EQ(*moved, (session_times{start, start + 60s, start + 1h + 60s}));
  EXPECT_FALSE(touched(rules, *moved, start + 61s));
}

TEST(SessionTimes, AnAbsoluteAgeEndsIt) {
  const session_rules rules{.idle = 1h, .absolute = 90min, .touch_every = 0s};
  session_times times = begin_session(rules, start);
  EXPECT_EQ(times.expires_at, start + 1h);
  times = *touched(rules, times, start + 20min);
  EXPECT_EQ(times.expires_at, start + 80min);
  times = *touched(rules, times, start + 50min);
  EXPECT_EQ(times.expires_at, start + 90min);
  // It cannot be moved further: nothing is written any more.
  EXPECT_FALSE(touched(rules, times, start + 70min));
  EXPECT_EQ(begin_session({.idle = 2h, .absolute = 1h}, start).expires_at, start + 1h);
}

TEST(SessionTimes, ALateClockDoesNotMoveTheEndBack) {
  const session_rules rules{.idle = 1h, .touch_every = 0s};
  const session_times times = begin_session(rules, start);
  EXPECT_FALSE(touched(rules, times, start - 10s));
}

TEST(SessionMerge, ChangesOnlyWhatItNames) {
  const session_state before{.version = 3, .fields = {{"a", "1"}, {"b", "2"}, {"c", "3"}}};
  const auto after = merged(before, changes{{"a", "10"}, {"b", std::nullopt}, {"d", "null"}});
  ASSERT_TRUE(after);
  EXPECT_EQ(after->version, 4U);
  EXPECT_EQ(after->fields, (session_fields{{"a", "10"}, {"c", "3"}, {"d", "null"}}));
}

// Two requests that read the same version and change different fields: both changes are there.
TEST(SessionMerge, KeepsTheChangesOfBoth) {
  const session_state before{.version = 1, .fields = {{"cart", "[]"}, {"page", "1"}}};
  const auto first = merged(before, changes{{"cart", "[7]"}});
  const auto second = merged(*first, changes{{"page", "2"}});
  EXPECT_EQ(second->fields, (session_fields{{"cart", "[7]"}, {"page", "2"}}));
  const auto third = merged(*second, changes{{"page", "3"}}, before.version);
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().kind, errc::precondition_failed);
  EXPECT_TRUE(merged(*second, changes{{"page", "3"}}, second->version));
}

TEST(SessionMerge, AChangeOfNothingIsNoVersion) {
  const session_state before{.version = 5, .fields = {{"a", "1"}}};
  EXPECT_EQ(merged(before, changes{{"a", "1"}, {"x", std::nullopt}})->version, 5U);
}

TEST(SessionMerge, IsBounded) {
  session_state many{.version = 1, .fields = {}};
  for (std::size_t i = 0; i < session_fields_max; ++i) many.fields[std::to_string(i)] = "1";
  EXPECT_EQ(merged(many, changes{{"one more", "1"}}).error().code, "too_many_fields");
  EXPECT_TRUE(merged(many, changes{{"0", std::nullopt}, {"one more", "1"}}));
  const auto large = merged({}, changes{{"a", std::string(session_bytes_max, 'x')}});
  EXPECT_EQ(large.error().code, "session_too_large");
  EXPECT_EQ(merged({}, changes{{"", "1"}}).error().field, "fields");
  EXPECT_EQ(merged({}, changes{{"a\n", "1"}}).error().field, "fields");
}

}  // namespace
}  // namespace millrace::sessions
