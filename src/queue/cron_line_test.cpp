#include <millrace/queue/cron_line.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {
namespace {

using namespace std::chrono_literals;
using std::chrono::local_days;
using std::chrono::local_seconds;
using std::chrono::year;
using std::chrono::year_month_day;

local_seconds at(int y, unsigned m, unsigned d, std::chrono::seconds time = 0s) {
  return local_days{year{y} / static_cast<int>(m) / static_cast<int>(d)} + time;
}

cron_line line(std::string_view text) {
  auto parsed = cron_line::parse(text);
  if (!parsed) {
    ADD_FAILURE() << text << ": " << parsed.error().detail;
    return cron_line::parse("* * * * *").value();
  }
  return *parsed;
}

// The days, as `month/day`, of the first `count` firings from the first of a year.
std::vector<std::string> days(std::string_view text, int from_year, std::size_t count) {
  const cron_line parsed = line(text);
  std::vector<std::string> found;
  local_seconds from = at(from_year, 1, 1);
  while (found.size() < count) {
    const auto next = parsed.first_from(from);
    if (!next) break;
    const year_month_day day{std::chrono::floor<std::chrono::days>(*next)};
    found.push_back(std::to_string(static_cast<unsigned>(day.month())) + "/" +
                    std::to_string(static_cast<unsigned>(day.day())));
    from = *next + 1s;
  }
  return found;
}

using list = std::vector<std::string>;

TEST(CronLine, FindsTheNextReading) {
  struct row {
    std::string_view text;
    local_seconds from, next;
  };
  const std::vector<row> rows{
      {"* * * * *", at(2026, 1, 1, 10h + 1s), at(2026, 1, 1, 10h + 1min)},
      {"* * * * *", at(2026, 1, 1, 10h), at(2026, 1, 1, 10h)},
      {"*/15 * * * *", at(2026, 1, 1, 10h + 46min), at(2026, 1, 1, 11h)},
      {"5/20 * * * *", at(2026, 1, 1, 10h + 26min), at(2026, 1, 1, 10h + 45min)},
      {"10-30/10 8-10,20 * * *", at(2026, 1, 1, 10h + 31min), at(2026, 1, 1, 20h + 10min)},
      {"59 23 31 12 *", at(2026, 12, 31, 23h + 59min + 1s), at(2027, 12, 31, 23h + 59min)},
      {"30 0 12 * * *", at(2026, 1, 1, 12h + 31s), at(2026, 1, 2, 12h + 30s)},
      {"*/20 * * * * *", at(2026, 1, 1, 12h + 59s), at(2026, 1, 1, 12h + 1min)},
      {"0 9 * * mon-fri", at(2026, 1, 3), at(2026, 1, 5, 9h)},
      {"0 0 1 jan,JUL *", at(2026, 1, 2), at(2026, 7, 1)},
      {"0 0 29 2 *", at(2096, 3, 1), at(2104, 2, 29)},
      {"0 0 * 2 MON#5", at(2072, 3, 1), at(2112, 2, 29)},
      {"  0\t0  1 1 *  ", at(2026, 1, 2), at(2027, 1, 1)},
  };
  for (const auto& row : rows) {
    const auto next = line(row.text).first_from(row.from);
    ASSERT_TRUE(next) << row.text;
    EXPECT_EQ((*next - row.next).count(), 0) << row.text;
  }
}

TEST(CronLine, MacrosMeanWhatTheySay) {
  const auto from = at(2026, 1, 7, 10h + 1min);
  EXPECT_EQ(line("@hourly").first_from(from), at(2026, 1, 7, 11h));
  EXPECT_EQ(line("@daily").first_from(from), at(2026, 1, 8));
  EXPECT_EQ(line("@midnight").first_from(from), at(2026, 1, 8));
  EXPECT_EQ(line("@weekly").first_from(from), at(2026, 1, 11));
  EXPECT_EQ(line("@monthly").first_from(from), at(2026, 2, 1));
  EXPECT_EQ(line("@yearly").first_from(from), at(2027, 1, 1));
  EXPECT_EQ(line("@annually").first_from(from), at(2027, 1, 1));
}

TEST(CronLine, EitherRestrictedDayFieldIsEnough) {
  EXPECT_EQ(days("0 0 13 * FRI", 2026, 4), (list{"1/2", "1/9", "1/13", "1/16"}));
}

TEST(CronLine, AnOpenDayFieldLeavesTheOtherToDecide) {
  EXPECT_EQ(days("0 0 ? * FRI", 2026, 2), (list{"1/2", "1/9"}));
  EXPECT_EQ(days("0 0 13 * ?", 2026, 2), (list{"1/13", "2/13"}));
  // Begins with `*`: not restricted, so both fields have to hold.
  EXPECT_EQ(days("0 0 */2 * FRI", 2026, 3), (list{"1/9", "1/23", "2/13"}));
}

TEST(CronLine, SevenIsSunday) {
  EXPECT_EQ(days("0 0 * * 7", 2026, 2), (list{"1/4", "1/11"}));
  EXPECT_EQ(days("0 0 * * 0", 2026, 2), (list{"1/4", "1/11"}));
  EXPECT_EQ(days("0 0 * * SAT-SUN", 2026, 3), (list{"1/3", "1/4", "1/10"}));
  EXPECT_EQ(days("0 0 * * 5-7", 2026, 4), (list{"1/2", "1/3", "1/4", "1/9"}));
}

TEST(CronLine, CountsFromTheEndOfTheMonth) {
  EXPECT_EQ(days("0 0 L * *", 2028, 3), (list{"1/31", "2/29", "3/31"}));
  EXPECT_EQ(days("0 0 L-3 * *", 2026, 2), (list{"1/28", "2/25"}));
  EXPECT_EQ(days("0 0 1,L * *", 2026, 3), (list{"1/1", "1/31", "2/1"}));
  EXPECT_EQ(days("0 0 * * FRIL", 2026, 2), (list{"1/30", "2/27"}));
  EXPECT_EQ(days("0 0 * * 5l", 2026, 2), (list{"1/30", "2/27"}));
}

TEST(CronLine, TakesTheWeekdayNearestADay) {
  // 2026: 1 February is a Sunday, 1 August a Saturday, 31 May a Sunday, 28 February a Saturday.
  EXPECT_EQ(days("0 0 1W 2,8 *", 2026, 2), (list{"2/2", "8/3"}));
  EXPECT_EQ(days("0 0 31W 5 *", 2026, 1), (list{"5/29"}));
  EXPECT_EQ(days("0 0 LW 2,5 *", 2026, 2), (list{"2/27", "5/29"}));
  EXPECT_EQ(days("0 0 15W 1,3 *", 2026, 2), (list{"1/15", "3/16"}));
}

TEST(CronLine, CountsWeekdaysOfTheMonth) {
  EXPECT_EQ(days("0 0 * * MON#1,MON#3", 2026, 3), (list{"1/5", "1/19", "2/2"}));
  EXPECT_EQ(days("0 0 * * 7#5", 2026, 2), (list{"3/29", "5/31"}));
}

TEST(CronLine, NamesWhatIsWrongAndWhere) {
  struct row {
    std::string_view text, detail;
  };
  const std::vector<row> rows{
      {"61 * * * *", "minute field '61' (character 1): 0 to 59"},
      {"0 5,24 * * *", "hour field '24' (character 5): 0 to 23"},
      {"0 0 0 * *", "day of month field '0' (character 5): 1 to 31"},
      {"0 0 1 13 *", "month field '13' (character 7): 1 to 12 or JAN to DEC"},
      {"0 0 * * 8", "day of week field '8' (character 9): 0 to 7 or SUN to SAT"},
      {"0 0 * * MONDAY", "day of week field 'MONDAY' (character 9): 0 to 7 or SUN to SAT"},
      {"60 0 0 * * *", "second field '60' (character 1): 0 to 59"},
      {"*/0 * * * *", "minute field '*/0' (character 1): the step after '/' is 1 to 59"},
      {"*/90 * * * *", "minute field '*/90' (character 1): the step after '/' is 1 to 59"},
      {"0 22-2 * * *",
       "hour field '22-2' (character 3): the range runs backwards; write 22-23,0-2"},
      {"1, * * * *", "minute field '' (character 3): 0 to 59"},
      {"-1 * * * *", "minute field '-1' (character 1): 0 to 59"},
      {"0 0 L-31 * *",
       "day of month field 'L-31' (character 5): after L comes nothing, W, or -1 to -30"},
      {"0 0 32W * *",
       "day of month field '32W' (character 5): before W comes one day, 1 to 31, or L"},
      {"0 0 * * MON#6", "day of week field 'MON#6' (character 9): a weekday, '#' and 1 to 5"},
      {"0 0 * * XL", "day of week field 'XL' (character 9): before L comes one weekday"},
      {"99999999999 * * * *", "minute field '99999999999' (character 1): 0 to 59"},
      {"* * * *",
       "a cron line has 5 fields (minute hour day-of-month month day-of-week) or 6 with leading "
       "seconds; this one has 4"},
      {"",
       "a cron line has 5 fields (minute hour day-of-month month day-of-week) or 6 with leading "
       "seconds; this one has 0"},
      {"@fortnightly",
       "'@fortnightly' is none of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, "
       "@annually and @every 90s"},
  };
  for (const auto& row : rows) {
    const auto parsed = cron_line::parse(row.text);
    ASSERT_FALSE(parsed) << row.text;
    EXPECT_EQ(parsed.error().detail, row.detail);
    EXPECT_EQ(parsed.error().code, "invalid_cron");
    EXPECT_EQ(parsed.error().field, "schedule");
    EXPECT_EQ(parsed.error().kind, errc::invalid_argument);
  }
  EXPECT_FALSE(cron_line::parse(std::string(300, '*')));
}

TEST(CronLine, RefusesWhatNeverFires) {
  for (const std::string_view text :
       {"0 0 31 2 *", "0 0 30 2 ?", "0 0 31 4,6,9,11 *", "0 0 L-30 2,4 *", "0 0 30W 2 *"}) {
    const auto parsed = cron_line::parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, "cron_never_fires") << text;
  }
  EXPECT_TRUE(cron_line::parse("0 0 29 2 *"));
  // Either day field is enough: Mondays in February do come.
  EXPECT_TRUE(cron_line::parse("0 0 31 2 MON"));
}

TEST(CronLine, EndsWithItsCalendar) {
  EXPECT_FALSE(line("* * * * *").first_from(at(2200, 1, 1)));
  EXPECT_EQ(line("0 0 1 1 *").first_from(at(2199, 1, 1)), at(2199, 1, 1));
  EXPECT_FALSE(line("0 0 1 1 *").first_from(at(2199, 1, 1, 1s)));
}

}  // namespace
}  // namespace millrace
