#include <millrace/base/text_time.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

namespace millrace {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

timestamp at(std::int64_t micros) { return from_micros(micros); }

TEST(Rfc3339, WritesUtcWithMilliseconds) {
  EXPECT_EQ(to_rfc3339(at(0)), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(to_rfc3339(at(1'795'150'331'123'999)), "2026-11-20T04:52:11.123Z");
  EXPECT_EQ(to_rfc3339(at(951'825'599'000'000)), "2000-02-29T11:59:59.000Z");
}

TEST(Rfc3339, ReadsOffsetsFractionsAndLowerCase) {
  const auto reads = [](std::string_view text) { return parse_rfc3339(text, "run_at").value(); };
  EXPECT_EQ(reads("2026-11-20T04:52:11.123Z"), at(1'795'150'331'123'000));
  EXPECT_EQ(reads("2026-11-20t04:52:11z"), at(1'795'150'331'000'000));
  EXPECT_EQ(reads("2026-11-20T06:22:11.5+01:30"), at(1'795'150'331'500'000));
  EXPECT_EQ(reads("2026-11-19T23:52:11-05:00"), at(1'795'150'331'000'000));
  EXPECT_EQ(reads("2026-11-20T04:52:11.123456789Z"), at(1'795'150'331'123'456));
  EXPECT_EQ(reads("1970-01-01T00:00:00-00:00"), at(0));
}

TEST(Rfc3339, RoundTrips) {
  for (std::int64_t micros = 0; micros < 7'258'118'400'000'000; micros += 86'399'123'000'000) {
    EXPECT_EQ(parse_rfc3339(to_rfc3339(at(micros)), "t").value(), at(micros));
  }
}

TEST(Rfc3339, RefusesEverythingElseAndNamesTheField) {
  for (const std::string_view text : {"",
                                      "2026",
                                      "2026-11-20",
                                      "2026-11-20T04:52:11",
                                      "2026-11-20 04:52:11Z",
                                      "2026-11-20T04:52Z",
                                      "2026-11-20T04:52:11.Z",
                                      "2026-11-20T04:52:11.1234567890Z",
                                      "2026-11-20T04:52:11,5Z",
                                      "2026-02-29T00:00:00Z",
                                      "2026-13-01T00:00:00Z",
                                      "2026-00-01T00:00:00Z",
                                      "2026-11-31T00:00:00Z",
                                      "2026-11-20T24:00:00Z",
                                      "2026-11-20T04:60:00Z",
                                      "2026-11-20T04:52:60Z",
                                      "2026-11-20T04:52:11+24:00",
                                      "2026-11-20T04:52:11+01:60",
                                      "2026-11-20T04:52:11+0100",
                                      "2026-11-20T04:52:11Zx",
                                      "+026-11-20T04:52:11Z",
                                      "1969-12-31T23:59:59Z",
                                      "1970-01-01T00:00:00+00:01",
                                      "2201-01-01T00:00:00Z",
                                      " 2026-11-20T04:52:11Z"}) {
    const auto parsed = parse_rfc3339(text, "run_at");
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, "invalid_time");
    EXPECT_EQ(parsed.error().field, "run_at");
  }
}

TEST(Duration, ReadsUnitsSumsAndBareSeconds) {
  const auto reads = [](std::string_view text) { return parse_duration(text, "ttl").value(); };
  EXPECT_EQ(reads("500ms"), 500ms);
  EXPECT_EQ(reads("30s"), 30s);
  EXPECT_EQ(reads("5m"), 5min);
  EXPECT_EQ(reads("24h"), 24h);
  EXPECT_EQ(reads("7d"), 168h);
  EXPECT_EQ(reads("1h30m"), 90min);
  EXPECT_EQ(reads("1d2h3m4s5ms"), 26h + 3min + 4s + 5ms);
  EXPECT_EQ(reads("30"), 30s);
  EXPECT_EQ(reads("1.5"), 1500ms);
  EXPECT_EQ(reads("0"), 0s);
  EXPECT_EQ(reads("0.000001"), 1us);
  EXPECT_EQ(reads("36500d"), 36500 * 24h);
}

TEST(Duration, RefusesEverythingElseAndNamesTheField) {
  for (const std::string_view text : {"",
                                      "s",
                                      "-1s",
                                      "+1s",
                                      "1x",
                                      "1 s",
                                      " 1s",
                                      "1s ",
                                      "1h30",
                                      "30m1h",
                                      "1s1s",
                                      "1.",
                                      ".5s",
                                      "1.0000001s",
                                      "36501d",
                                      "36500d1ms",
                                      "99999999999999999999s",
                                      "1e3",
                                      "1min",
                                      "1H",
                                      "1..5s"}) {
    const auto parsed = parse_duration(text, "ttl");
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, "invalid_duration");
    EXPECT_EQ(parsed.error().field, "ttl");
  }
  EXPECT_THAT(parse_duration("1x", "ttl").error().detail, HasSubstr("\"1x\""));
}

TEST(Duration, IsWrittenInItsLargestUnits) {
  EXPECT_EQ(format_duration(0s), "0s");
  EXPECT_EQ(format_duration(90min), "1h30m");
  EXPECT_EQ(format_duration(250ms), "250ms");
  EXPECT_EQ(format_duration(1500ms), "1s500ms");
  EXPECT_EQ(format_duration(48h), "2d");
  EXPECT_EQ(format_duration(1us), "0.001ms");
  EXPECT_EQ(format_duration(1s + 1500us), "1s1.5ms");
  EXPECT_EQ(format_duration(-90s), "-1m30s");
}

TEST(Duration, RoundTrips) {
  for (std::int64_t micros = 1; micros < 1'000'000'000'000'000; micros = micros * 7 + 3) {
    const duration span{micros};
    EXPECT_EQ(parse_duration(format_duration(span), "t").value(), span) << format_duration(span);
  }
}

TEST(Seconds, ConvertBothWays) {
  EXPECT_EQ(seconds_to_duration(1.5, 1h, "wait").value(), 1500ms);
  EXPECT_EQ(seconds_to_duration(0, 1h, "wait").value(), 0s);
  EXPECT_EQ(seconds_to_duration(3600, 1h, "wait").value(), 1h);
  EXPECT_EQ(to_seconds(1500ms), 1.5);
}

TEST(Seconds, RefuseWhatIsNoDuration) {
  for (const double value :
       {-0.001, 3600.001, std::nan(""), std::numeric_limits<double>::infinity(),
        -std::numeric_limits<double>::infinity(), 1e300}) {
    const auto converted = seconds_to_duration(value, 1h, "wait");
    ASSERT_FALSE(converted);
    EXPECT_EQ(converted.error().field, "wait");
    EXPECT_THAT(converted.error().detail, HasSubstr("0 to 3600 seconds"));
  }
}

}  // namespace
}  // namespace millrace
