#include "zone_rule.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace {
namespace {

using namespace std::chrono_literals;
using std::chrono::seconds;

sys_seconds moment(std::int64_t since_1970) { return sys_seconds{seconds{since_1970}}; }

struct year_of_changes {
  std::string_view rule;
  /// On 1 January 2045 at 00:00Z.
  int offset;
  /// The changes of 2045 and the offsets after them, as Python's zoneinfo knows them.
  std::vector<std::pair<std::int64_t, int>> changes;
};

const std::vector<year_of_changes> years{
    {"CET-1CEST,M3.5.0,M10.5.0/3", 3600, {{2374102800, 7200}, {2392851600, 3600}}},
    {"AEST-10AEDT,M10.1.0,M4.1.0/3", 39600, {{2374675200, 36000}, {2390400000, 39600}}},
    // Dublin's winter is the exception, not its summer.
    {"IST-1GMT0,M10.5.0,M3.5.0/1", 0, {{2374102800, 3600}, {2392851600, 0}}},
    {"EST5EDT,M3.2.0,M11.1.0", -18000, {{2372914800, -14400}, {2393474400, -18000}}},
    {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", -7200, {{2374102800, -3600}, {2392851600, -7200}}},
    {"EET-2EEST,M4.5.5/0,M10.5.4/24", 7200, {{2376943200, 10800}, {2392664400, 7200}}},
    {"IST-2IDT,M3.4.4/26,M10.5.0", 7200, {{2373926400, 10800}, {2392844400, 7200}}},
    {"<+00>0<+02>-2,M3.5.0/1,M10.5.0/3", 0, {{2374102800, 7200}, {2392851600, 0}}},
    {"<+1245>-12:45<+1345>,M9.5.0/2:45,M4.1.0/3:45",
     49500,
     {{2374668000, 45900}, {2389788000, 49500}}},
    {"<-04>4<-03>,M9.1.6/24,M4.1.6/24", -10800, {{2374714800, -14400}, {2388024000, -10800}}},
    {"JST-9", 32400, {}},
};

TEST(ZoneRule, ChangesTheClockWhenItsZoneDoes) {
  constexpr std::int64_t begin = 2366841600;
  constexpr std::int64_t end = 2398377600;
  for (const auto& [text, first, changes] : years) {
    const auto rule = zone_rule::parse(text);
    ASSERT_TRUE(rule) << text;
    int offset = first;
    std::int64_t from = begin;
    for (const auto& [at, next] : changes) {
      for (const std::int64_t within : {from, (from + at) / 2, at - 1}) {
        EXPECT_EQ(rule->at(moment(within)).offset, seconds{offset}) << text << ' ' << within;
      }
      EXPECT_EQ(rule->at(moment(at - 1)).end, moment(at)) << text;
      EXPECT_EQ(rule->at(moment(at)).begin, moment(at)) << text;
      offset = next;
      from = at;
    }
    EXPECT_EQ(rule->at(moment(from)).offset, seconds{offset}) << text;
    EXPECT_EQ(rule->at(moment(end - 1)).offset, seconds{offset}) << text;
  }
}

TEST(ZoneRule, CountsDaysWithAndWithoutTheLeapDay) {
  // 1 March, in a year that has a leap day and in one that has none.
  const auto julian = zone_rule::parse("AAA0BBB,J60/0,J300/0");
  const auto plain = zone_rule::parse("AAA0BBB,60/0,300/0");
  ASSERT_TRUE(julian && plain);
  using namespace std::chrono;
  EXPECT_EQ(julian->at(sys_days{2044y / 3 / 1}).begin, sys_days{2044y / 3 / 1});
  EXPECT_EQ(julian->at(sys_days{2045y / 3 / 1}).begin, sys_days{2045y / 3 / 1});
  EXPECT_EQ(plain->at(sys_days{2044y / 3 / 1}).begin, sys_days{2044y / 3 / 1});
  EXPECT_EQ(plain->at(sys_days{2045y / 3 / 2}).begin, sys_days{2045y / 3 / 2});
}

TEST(ZoneRule, RefusesWhatIsNone) {
  for (const std::string_view text :
       {"", "C", "CET", "CET-", "CET-1CEST", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0",
        "CET-1CEST,M3.6.0,M10.5.0", "CET-1CEST,M3.5.7,M10.5.0", "CET-1CEST,M3.5.0,M10.5.0/168",
        "CET-1CEST,M3.5.0,M10.5.0 ", "<CET-1", "CET-1CEST,J0,J366"}) {
    EXPECT_FALSE(zone_rule::parse(text)) << text;
  }
}

}  // namespace
}  // namespace millrace
