#include <millrace/engine/session_rules.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

namespace millrace::engine {
namespace {

using namespace std::chrono_literals;
using changes = std::vector<session_change>;

constexpr timestamp start{1'767'225'600s};

TEST(SessionRules, AreChecked) {
  EXPECT_TRUE(check_session_rules({}, "sessions."));
  EXPECT_TRUE(check_session_rules({.idle = 2h, .absolute = 24h, .touch_every = 0s}, "sessions."));
  EXPECT_EQ(check_session_rules({.idle = 0s}, "sessions.").error().field, "sessions.idle");
  EXPECT_EQ(check_session_rules({.idle = 366 * 24h}, "sessions.").error().field, "sessions.idle");
  EXPECT_EQ(check_session_rules({.absolute = -1s}, "sessions.").error().field, "sessions.absolute");
  EXPECT_EQ(check_session_rules({.touch_every = -1s}, "sessions.").error().field,
            "sessions.touch_every");
  EXPECT_EQ(check_session_rules({.idle = 60s}, "sessions.").error().field, "sessions.touch_every");
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

session_info with(session_fields fields, std::uint64_t version = 3) {
  return {.key = {.hash = std::string(session_hash_chars, 'a')},
          .user = "ann",
          .times = begin_session({}, start),
          .version = version,
          .fields = std::move(fields)};
}

TEST(SessionChange, ChangesOnlyWhatItNames) {
  const session_info before = with({{"a", "1"}, {"b", "2"}, {"c", "3"}});
  const auto after = next_session(
      before, change_session{.changes = changes{{"a", "10"}, {"b", std::nullopt}, {"d", "null"}}},
      start);
  ASSERT_TRUE(after);
  EXPECT_EQ(after->version, 4U);
  EXPECT_EQ(after->fields, (session_fields{{"a", "10"}, {"c", "3"}, {"d", "null"}}));
}

// Two requests that read the same version and change different fields: both changes are there.
TEST(SessionChange, KeepsTheChangesOfBoth) {
  const session_info before = with({{"cart", "[]"}, {"page", "1"}}, 1);
  const auto first =
      next_session(before, change_session{.changes = changes{{"cart", "[7]"}}}, start);
  ASSERT_TRUE(first);
  const auto second =
      next_session(*first, change_session{.changes = changes{{"page", "2"}}}, start);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->fields, (session_fields{{"cart", "[7]"}, {"page", "2"}}));
  const change_session late{.changes = changes{{"page", "3"}}, .if_version = before.version};
  const auto third = next_session(*second, late, start);
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().kind, errc::precondition_failed);
}

TEST(SessionChange, OfNothingIsNoVersion) {
  const session_info before = with({{"a", "1"}}, 5);
  const auto after = next_session(
      before, change_session{.changes = changes{{"a", "1"}, {"x", std::nullopt}}}, start);
  EXPECT_EQ(after.value_or(session_info{}).version, 5U);
}

TEST(SessionChange, MayReplaceAll) {
  const session_info before = with({{"a", "1"}, {"b", "2"}});
  const auto after =
      next_session(before, change_session{.changes = changes{{"c", "3"}}, .replace = true}, start);
  EXPECT_EQ(after.value_or(session_info{}).fields, (session_fields{{"c", "3"}}));
}

TEST(SessionChange, IsBounded) {
  session_fields many;
  for (std::size_t i = 0; i < session_fields_max; ++i) many[std::to_string(i)] = "1";
  EXPECT_EQ(merged(many, changes{{"one more", "1"}}).error().code, "too_many_fields");
  EXPECT_TRUE(merged(many, changes{{"0", std::nullopt}, {"one more", "1"}}));
  const auto large = merged({}, changes{{"a", std::string(session_bytes_max, 'x')}});
  EXPECT_EQ(large.error().code, "session_too_large");
  EXPECT_EQ(check_session_fields({{"", "1"}}).error().field, "data");
  EXPECT_EQ(check_session_fields({{"a\n", "1"}}).error().field, "data");
}

TEST(SessionRotation, LeavesAPictureBehind) {
  const session_info before = with({{"role", "\"guest\""}});
  const rotate_session step{.to = std::string(session_hash_chars, 'b'),
                            .grace = 10s,
                            .user = "bea",
                            .changes = changes{{"role", "\"admin\""}}};
  const auto after = next_session(before, step, start + 1h);
  ASSERT_TRUE(after);
  EXPECT_EQ(after->key.hash, step.to);
  EXPECT_EQ(after->user, "bea");
  EXPECT_EQ(after->version, 4U);
  EXPECT_EQ(after->times.expires_at, start + 25h);
  const auto former = former_session(before, step, start + 1h);
  ASSERT_TRUE(former);
  EXPECT_TRUE(former->former);
  EXPECT_EQ(former->user, "ann");
  EXPECT_EQ(former->fields, before.fields);
  EXPECT_EQ(former->times.expires_at, start + 1h + 10s);
  EXPECT_EQ(next_session(*former, step, start + 1h).error().code, "session_rotated");
  EXPECT_FALSE(former_session(before, rotate_session{}, start));
}

TEST(SessionsOfAUser, AreBounded) {
  EXPECT_EQ(sessions_to_end(4, 5, session_overflow::refuse), 0U);
  EXPECT_EQ(sessions_to_end(5, 5, session_overflow::refuse).error().code, "too_many_user_sessions");
  EXPECT_EQ(sessions_to_end(5, 5, session_overflow::end_oldest), 1U);
  EXPECT_EQ(sessions_to_end(9, 5, session_overflow::end_oldest), 5U);
  EXPECT_EQ(sessions_to_end(user_sessions_max, 0, session_overflow::end_oldest), 1U);
}

}  // namespace
}  // namespace millrace::engine
