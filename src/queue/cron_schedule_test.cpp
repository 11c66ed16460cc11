#include <millrace/queue/cron_schedule.hpp>

#include <millrace/base/text_time.hpp>

#include <date/tz.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {
namespace {

using namespace std::chrono_literals;
using std::chrono::sys_days;
using std::chrono::year;

timestamp utc(std::string_view text) { return parse_rfc3339(text, "test").value(); }

cron_schedule schedule(std::string_view line, std::string_view zone) {
  auto parsed = cron_schedule::parse(line, zone);
  if (!parsed) {
    ADD_FAILURE() << line << " in " << zone << ": " << parsed.error().detail;
    return cron_schedule::parse("* * * * *", "UTC").value();
  }
  return *parsed;
}

struct turned_clock {
  std::string_view line, zone;
  /// The slots after the first of these are exactly the others.
  std::vector<std::string_view> moments;
};

// Each row walks over one turn of a clock.
const std::vector<turned_clock> turned_clocks{
    // Berlin, 29 March 2026: 02:00 becomes 03:00 at 01:00Z.
    {"30 2 * * *",
     "Europe/Berlin",
     {"2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"}},
    {"0 2,3 * * *",
     "Europe/Berlin",
     {"2026-03-28T02:00:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"}},
    {"*/20 2 * * *",
     "Europe/Berlin",
     {"2026-03-28T01:40:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z",
      "2026-03-30T00:20:00Z"}},
    {"*/30 * * * *",
     "Europe/Berlin",
     {"2026-03-29T00:00:00Z", "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z",
      "2026-03-29T01:30:00Z"}},
    {"0 */2 * * *",
     "Europe/Berlin",
     {"2026-03-28T23:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"}},
    // 25 October 2026: 03:00 becomes 02:00 at 01:00Z.
    {"30 2 * * *",
     "Europe/Berlin",
     {"2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
    {"*/20 2 * * *",
     "Europe/Berlin",
     {"2026-10-25T00:20:00Z", "2026-10-25T00:40:00Z", "2026-10-26T01:00:00Z"}},
    {"0 2,3 * * *",
     "Europe/Berlin",
     {"2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z", "2026-10-26T01:00:00Z"}},
    {"*/30 * * * *",
     "Europe/Berlin",
     {"2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z",
      "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z"}},
    {"0 * * * *",
     "Europe/Berlin",
     {"2026-10-24T23:00:00Z", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z",
      "2026-10-25T02:00:00Z"}},
    // A look from within the second showing of the repeated hour.
    {"30 2 * * *", "Europe/Berlin", {"2026-10-25T01:10:00Z", "2026-10-26T01:30:00Z"}},
    // New York, 8 March 2026 at 07:00Z and 1 November at 06:00Z.
    {"15 2 * * SUN",
     "America/New_York",
     {"2026-03-01T07:15:00Z", "2026-03-08T07:00:00Z", "2026-03-15T06:15:00Z"}},
    {"30 1 * * *",
     "America/New_York",
     {"2026-10-31T05:30:00Z", "2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"}},
    {"@hourly",
     "America/New_York",
     {"2026-11-01T04:00:00Z", "2026-11-01T05:00:00Z", "2026-11-01T06:00:00Z",
      "2026-11-01T07:00:00Z"}},
    // Lord Howe turns by half an hour: 02:00 becomes 02:30 on 4 October 2026 at 15:30Z the day
    // before, and 02:00 becomes 01:30 on 5 April at 15:00Z the day before.
    {"15 2 * * *",
     "Australia/Lord_Howe",
     {"2026-10-02T15:45:00Z", "2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"}},
    {"45 1 * * *",
     "Australia/Lord_Howe",
     {"2026-04-03T14:45:00Z", "2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"}},
    {"*/15 * * * *",
     "Australia/Lord_Howe",
     {"2026-04-04T14:30:00Z", "2026-04-04T14:45:00Z", "2026-04-04T15:00:00Z",
      "2026-04-04T15:15:00Z", "2026-04-04T15:30:00Z"}},
    // Sao Paulo stopped turning its clocks in 2019; in 2018 midnight itself was skipped.
    {"0 0 * * *",
     "America/Sao_Paulo",
     {"2018-11-03T03:00:00Z", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"}},
    {"0 0 * * *",
     "America/Sao_Paulo",
     {"2026-11-01T03:00:00Z", "2026-11-02T03:00:00Z", "2026-11-03T03:00:00Z"}},
    {"30 9 * * *", "Asia/Kolkata", {"2026-03-28T04:00:00Z", "2026-03-29T04:00:00Z"}},
    // Apia had no 30 December 2011: its slots fall on the first moment of the 31st.
    {"0 9 * * *",
     "Pacific/Apia",
     {"2011-12-29T19:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T19:00:00Z"}},
    {"0 0,12 * * *",
     "Pacific/Apia",
     {"2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"}},
    {"0 * * * *",
     "Pacific/Apia",
     {"2011-12-30T09:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T11:00:00Z"}},
    {"0 9 30 12 *",
     "Pacific/Apia",
     {"2010-12-30T20:00:00Z", "2011-12-30T10:00:00Z", "2012-12-29T19:00:00Z"}},
};

TEST(CronSchedule, KeepsItsPromisesWhereClocksAreTurned) {
  for (const auto& row : turned_clocks) {
    const cron_schedule made = schedule(row.line, row.zone);
    timestamp at = utc(row.moments.front());
    for (std::size_t i = 1; i < row.moments.size(); ++i) {
      const auto next = made.next_after(at);
      ASSERT_TRUE(next);
      EXPECT_EQ(to_rfc3339(*next), to_rfc3339(utc(row.moments[i])))
          << row.line << " in " << row.zone << " after " << to_rfc3339(at);
      // Wherever one asks from, also just before, which for a skipped hour is within the jump.
      EXPECT_EQ(made.next_after(*next - duration{1}), next) << row.line << " in " << row.zone;
      at = *next;
    }
  }
}

TEST(CronSchedule, AnswersAMomentStrictlyLater) {
  const auto made = schedule("* * * * *", "UTC");
  EXPECT_EQ(made.next_after(utc("2026-01-01T00:00:00Z")), utc("2026-01-01T00:01:00Z"));
  EXPECT_EQ(made.next_after(utc("2026-01-01T00:00:59.999999Z")), utc("2026-01-01T00:01:00Z"));
  EXPECT_EQ(made.next_after(from_micros(-1)), utc("1970-01-01T00:00:00Z"));
}

TEST(CronSchedule, EveryIsAlignedToTheEpoch) {
  const auto made = schedule("@every 90s", "Asia/Kolkata");
  EXPECT_EQ(made.next_after(utc("1970-01-01T00:00:00Z")), utc("1970-01-01T00:01:30Z"));
  EXPECT_EQ(made.next_after(utc("2026-01-01T00:00:01Z")), utc("2026-01-01T00:01:30Z"));
  EXPECT_EQ(schedule("@every 1h30m", "UTC").next_after(utc("2026-01-01T01:00:00Z")),
            utc("2026-01-01T01:30:00Z"));
  EXPECT_EQ(schedule("@every 24h", "UTC").next_after(utc("2026-01-01T01:00:00Z")),
            utc("2026-01-02T00:00:00Z"));
}

TEST(CronSchedule, RefusesABadEvery) {
  for (const std::string_view line : {"@every", "@every 0s", "@every 500ms", "@every -5s",
                                      "@every 400d", "@every 1.5s", "@every often", "@every90s"}) {
    const auto parsed = cron_schedule::parse(line, "UTC");
    ASSERT_FALSE(parsed) << line;
    EXPECT_EQ(parsed.error().code, "invalid_cron") << line;
    EXPECT_EQ(parsed.error().field, "schedule") << line;
  }
}

TEST(CronSchedule, NamesTheZoneThatMayHaveBeenMeant) {
  struct row {
    std::string_view zone, suggestion;
  };
  const std::vector<row> rows{
      {"Europe/Berln", "Europe/Berlin"},        {"europe/berlin", "Europe/Berlin"},
      {"America/New York", "America/New_York"}, {"Berlin", "Europe/Berlin"},
      {"Mars/Olympus", "use an IANA name"},     {"../../etc/passwd", "use an IANA name"}};
  for (const auto& row : rows) {
    const auto parsed = cron_schedule::parse("* * * * *", row.zone);
    ASSERT_FALSE(parsed) << row.zone;
    EXPECT_EQ(parsed.error().code, "unknown_time_zone");
    EXPECT_EQ(parsed.error().field, "time_zone");
    EXPECT_NE(parsed.error().detail.find(row.suggestion), std::string::npos)
        << parsed.error().detail;
  }
  EXPECT_FALSE(cron_schedule::parse("* * * * *", ""));
  EXPECT_FALSE(cron_schedule::parse("* * * * *", std::string(1000, 'x')));
}

// The list of a zone's changes ends in 2037, its rule does not.
TEST(CronSchedule, GoesOnTurningClocksAfterTheListOfChanges) {
  const auto berlin = schedule("30 2 * * *", "Europe/Berlin");
  EXPECT_EQ(berlin.next_after(utc("2045-07-01T00:00:00Z")), utc("2045-07-01T00:30:00Z"));
  EXPECT_EQ(berlin.next_after(utc("2045-12-01T00:00:00Z")), utc("2045-12-01T01:30:00Z"));
  // 26 March 2045: 02:00 becomes 03:00 at 01:00Z.
  EXPECT_EQ(berlin.next_after(utc("2045-03-25T12:00:00Z")), utc("2045-03-26T01:00:00Z"));
  const auto sydney = schedule("0 12 * * *", "Australia/Sydney");
  EXPECT_EQ(sydney.next_after(utc("2038-07-01T00:00:00Z")), utc("2038-07-01T02:00:00Z"));
  EXPECT_EQ(sydney.next_after(utc("2038-01-01T00:00:00Z")), utc("2038-01-01T01:00:00Z"));
}

TEST(CronSchedule, EndsWithItsCalendar) {
  for (const std::string_view line : {"* * * * *", "0 3 * * *", "@every 1h"}) {
    const auto made = schedule(line, "Europe/Berlin");
    EXPECT_FALSE(made.next_after(utc("2199-12-31T23:59:59Z"))) << line;
    EXPECT_TRUE(made.next_after(utc("2199-12-30T00:00:00Z"))) << line;
  }
}

// What a minute of a wall clock reads, for the brute force below.
struct reading {
  int minute, hour;
  unsigned day, month, weekday;
};

struct sampled_line {
  std::string_view line;
  bool interval;
  std::function<bool(const reading&)> matches;
};

std::vector<sampled_line> sampled_lines() {
  return {
      {"*/15 * * * *", true, [](const reading& r) { return r.minute % 15 == 0; }},
      {"7 * * * MON-FRI", true,
       [](const reading& r) { return r.minute == 7 && r.weekday >= 1 && r.weekday <= 5; }},
      {"30 2 * * *", false, [](const reading& r) { return r.minute == 30 && r.hour == 2; }},
      {"*/10 1-3 * * *", false,
       [](const reading& r) { return r.minute % 10 == 0 && r.hour >= 1 && r.hour <= 3; }},
      {"0 */6 1,15 * *", false,
       [](const reading& r) {
         return r.minute == 0 && r.hour % 6 == 0 && (r.day == 1 || r.day == 15);
       }},
      {"45 1 13 * SUN", false,
       [](const reading& r) {
         return r.minute == 45 && r.hour == 1 && (r.day == 13 || r.weekday == 0);
       }},
      {"0 2 29 2 *", false,
       [](const reading& r) {
         return r.minute == 0 && r.hour == 2 && r.day == 29 && r.month == 2;
       }},
  };
}

constexpr sys_days sample_begin{year{2020} / 1 / 1};
constexpr sys_days sample_end{year{2036} / 1 / 1};

// Every minute a wall clock could show, day by day, as seconds since the epoch on that wall.
template <class Take>
void for_each_matching_reading(const sampled_line& sample, const Take& take) {
  for (sys_days day = sample_begin - std::chrono::days{2}; day < sample_end + std::chrono::days{2};
       day += std::chrono::days{1}) {
    const std::chrono::year_month_day date{day};
    reading r{0, 0, static_cast<unsigned>(date.day()), static_cast<unsigned>(date.month()),
              std::chrono::weekday{day}.c_encoding()};
    for (r.hour = 0; r.hour < 24; ++r.hour) {
      for (r.minute = 0; r.minute < 60; ++r.minute) {
        if (!sample.matches(r)) continue;
        take(date::local_seconds{(day + std::chrono::hours{r.hour} + std::chrono::minutes{r.minute})
                                     .time_since_epoch()});
      }
    }
  }
}

std::vector<timestamp> brute_force(const sampled_line& sample, const date::time_zone& zone) {
  std::vector<timestamp> moments;
  for_each_matching_reading(sample, [&](date::local_seconds wall) {
    const auto info = zone.get_info(wall);
    const auto moment = [wall](const date::sys_info& period) {
      return timestamp{date::sys_seconds{wall.time_since_epoch() - period.offset}};
    };
    if (info.result == date::local_info::unique) {
      moments.push_back(moment(info.first));
    } else if (info.result == date::local_info::ambiguous) {
      moments.push_back(moment(info.first));
      if (sample.interval) moments.push_back(moment(info.second));
    } else if (!sample.interval) {
      moments.emplace_back(info.first.end);
    }
  });
  std::ranges::sort(moments);
  const auto doubled = std::ranges::unique(moments);
  moments.erase(doubled.begin(), doubled.end());
  std::erase_if(moments, [](timestamp at) {
    return at < timestamp{sample_begin} || at >= timestamp{sample_end};
  });
  return moments;
}

class CronScheduleYears : public testing::TestWithParam<std::string_view> {};

// The chain of slots over sixteen years is the set that a search of every minute finds.
TEST_P(CronScheduleYears, MissesNoSlotAndInventsNone) {
  const date::time_zone& zone = *date::locate_zone(std::string{GetParam()});
  for (const auto& sample : sampled_lines()) {
    const auto wanted = brute_force(sample, zone);
    const cron_schedule made = schedule(sample.line, GetParam());
    std::vector<timestamp> found;
    timestamp at = timestamp{sample_begin} - 1us;
    while (true) {
      const auto next = made.next_after(at);
      ASSERT_TRUE(next);
      ASSERT_GT(*next, at) << sample.line;
      if (*next >= timestamp{sample_end}) break;
      found.push_back(*next);
      at = *next;
    }
    const auto [a, b] = std::ranges::mismatch(wanted, found);
    EXPECT_TRUE(wanted == found) << sample.line << ": wanted "
                                 << (a == wanted.end() ? "no more" : to_rfc3339(*a)) << ", found "
                                 << (b == found.end() ? "no more" : to_rfc3339(*b));
  }
}

INSTANTIATE_TEST_SUITE_P(Zones, CronScheduleYears,
                         testing::Values("Europe/Berlin", "America/New_York", "Australia/Lord_Howe",
                                         "America/Sao_Paulo", "Asia/Kolkata", "Africa/Casablanca",
                                         "UTC"),
                         [](const auto& zone) {
                           std::string name{zone.param};
                           std::erase_if(name, [](char c) { return !std::isalnum(c); });
                           return name;
                         });

}  // namespace
}  // namespace millrace
