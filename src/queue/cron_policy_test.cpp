#include "cron_policy.hpp"

#include <millrace/base/text_time.hpp>

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

namespace millrace {
namespace {

using namespace std::chrono_literals;
using engine::cron_catch_up;

timestamp utc(std::string_view text) { return parse_rfc3339(text, "test").value(); }

engine::fire_cron plan(std::string_view line, cron_catch_up policy, timestamp slot, timestamp now) {
  engine::cron_entry entry{.name = "report", .catch_up = policy, .next_at = slot, .version = 7};
  return plan_slot(entry, cron_schedule::parse(line, "UTC").value(), now, 10s);
}

constexpr cron_catch_up policies[]{cron_catch_up::one, cron_catch_up::none, cron_catch_up::all};

TEST(CronPolicy, FiresASlotOnTimeWhateverThePolicy) {
  const auto slot = utc("2026-01-01T12:00:00Z");
  for (const auto policy : policies) {
    for (const duration late : {duration{0}, duration{10s}}) {
      const auto step = plan("*/5 * * * *", policy, slot, slot + late);
      EXPECT_EQ(step.name, "report");
      EXPECT_EQ(step.version, 7U);
      EXPECT_EQ(step.slot, slot);
      EXPECT_EQ(step.next_at, slot + 5min);
      EXPECT_FALSE(step.pass_over);
    }
  }
}

TEST(CronPolicy, SlotsCloseTogetherAreEachOnTime) {
  const auto slot = utc("2026-01-01T12:00:00Z");
  for (const auto policy : policies) {
    const auto step = plan("* * * * * *", policy, slot, slot + 3s);
    EXPECT_EQ(step.next_at, slot + 1s);
    EXPECT_FALSE(step.pass_over);
  }
}

TEST(CronPolicy, OneFiresOnceForAllThatWereMissed) {
  const auto slot = utc("2026-01-01T11:05:00Z");
  const auto step = plan("*/5 * * * *", cron_catch_up::one, slot, utc("2026-01-01T12:02:00Z"));
  EXPECT_EQ(step.slot, slot);
  EXPECT_FALSE(step.pass_over);
  EXPECT_EQ(step.next_at, utc("2026-01-01T12:05:00Z"));
}

TEST(CronPolicy, NonePassesOverToTheFirstSlotOnTime) {
  const auto slot = utc("2026-01-01T11:05:00Z");
  const auto between = plan("*/5 * * * *", cron_catch_up::none, slot, utc("2026-01-01T12:02:00Z"));
  EXPECT_TRUE(between.pass_over);
  EXPECT_EQ(between.next_at, utc("2026-01-01T12:05:00Z"));
  const auto just_due = plan("*/5 * * * *", cron_catch_up::none, slot, utc("2026-01-01T12:00:03Z"));
  EXPECT_TRUE(just_due.pass_over);
  EXPECT_EQ(just_due.next_at, utc("2026-01-01T12:00:00Z"));
}

TEST(CronPolicy, NoneStillFiresALaterSlotAfterALateOne) {
  // A look 11 s late at one slot must not drop the slot that is due in the same moment.
  const auto slot = utc("2026-01-01T12:00:00Z");
  const auto step = plan("*/11 * * * * *", cron_catch_up::none, slot, slot + 11s);
  EXPECT_TRUE(step.pass_over);
  EXPECT_EQ(step.next_at, slot + 11s);
}

TEST(CronPolicy, AllFiresEachInOrder) {
  const auto slot = utc("2026-01-01T11:05:00Z");
  const auto step = plan("*/5 * * * *", cron_catch_up::all, slot, utc("2026-01-01T12:02:00Z"));
  EXPECT_FALSE(step.pass_over);
  EXPECT_EQ(step.next_at, slot + 5min);
}

TEST(CronPolicy, AllGoesBackAThousandSlots) {
  const auto now = utc("2026-01-03T00:00:00Z");
  // With this slot a thousand are due, with the one before a thousand and one.
  const auto thousandth = now - 999min;
  EXPECT_FALSE(plan("* * * * *", cron_catch_up::all, thousandth, now).pass_over);
  const auto over = plan("* * * * *", cron_catch_up::all, thousandth - 1min, now);
  EXPECT_TRUE(over.pass_over);
  EXPECT_EQ(over.next_at, thousandth);
  const auto far = plan("* * * * *", cron_catch_up::all, utc("2020-01-01T00:00:00Z"), now);
  EXPECT_TRUE(far.pass_over);
  EXPECT_EQ(far.next_at, thousandth);
}

TEST(CronPolicy, TheLastSlotOfAllHasNoNext) {
  const auto slot = utc("2199-12-31T00:00:00Z");
  for (const auto policy : policies) {
    EXPECT_FALSE(plan("0 0 31 12 *", policy, slot, slot).next_at);
  }
}

}  // namespace
}  // namespace millrace
