#include "people.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace millrace::cli {
namespace {

using namespace std::chrono_literals;

TEST(RelativeTime, SaysTheLargestUnitAlone) {
  const timestamp now = manual_clock::default_start();
  EXPECT_EQ(relative_time(now, now), "now");
  EXPECT_EQ(relative_time(now - 900ms, now), "now");
  EXPECT_EQ(relative_time(now - 59s, now), "59s ago");
  EXPECT_EQ(relative_time(now - 119s, now), "1m ago");
  EXPECT_EQ(relative_time(now - 3h - 59min, now), "3h ago");
}

// Of a delay of 5 minutes a moment has passed by the time it is shown.
TEST(RelativeTime, RoundsWhatIsToComeToTheNearest) {
  const timestamp now = manual_clock::default_start();
  EXPECT_EQ(relative_time(now + 5min - 2ms, now), "in 5m");
  EXPECT_EQ(relative_time(now + 5min - 20s, now), "in 5m");
  EXPECT_EQ(relative_time(now + 4min + 20s, now), "in 4m");
  EXPECT_EQ(relative_time(now + 300ms, now), "in 1s");
  EXPECT_EQ(relative_time(now + 59min + 40s, now), "in 1h");
  EXPECT_EQ(relative_time(now + 3h + 20min, now), "in 3h");
  EXPECT_EQ(relative_time(now + 49h, now), "in 2d");
}

TEST(ReadableSpan, SaysTwoUnitsAtMost) {
  EXPECT_EQ(readable_span(0s), "0.0s");
  EXPECT_EQ(readable_span(420ms), "0.4s");
  EXPECT_EQ(readable_span(12s), "12s");
  EXPECT_EQ(readable_span(200s), "3m 20s");
  EXPECT_EQ(readable_span(2h + 5min + 3s), "2h 5m");
  EXPECT_EQ(readable_span(24h * 7), "7d");
}

TEST(Grouped, SetsACommaEveryThreeDigits) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(12345678), "12,345,678");
}

// A job's error is foreign text: it must neither colour the terminal nor move its cursor.
TEST(Printable, LeavesNothingThatATerminalObeys) {
  EXPECT_EQ(printable("a\x1b[31mb\x07"), "a?[31mb?");
  EXPECT_EQ(printable("a\nb\tc\r"), "a b c ");
  EXPECT_EQ(printable("x\xc2\x9b"
                      "31m"),
            "x?31m");
  EXPECT_EQ(printable("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f");
}

TEST(CutTo, CutsBetweenCharacters) {
  EXPECT_EQ(cut_to("short", 5), "short");
  EXPECT_EQ(cut_to("longer", 5), "long…");
  EXPECT_EQ(cut_to("\xc3\xbc\xc3\xbc\xc3\xbc", 2), "\xc3\xbc…");
  EXPECT_EQ(columns_of(cut_to("longer", 1)), 1U);
}

TEST(ProgressBar, NeverLeavesItsBounds) {
  EXPECT_EQ(progress_bar(0.5, 4), "##..");
  EXPECT_EQ(progress_bar(-1, 4), "....");
  EXPECT_EQ(progress_bar(7, 4), "####");
  EXPECT_EQ(progress_bar(std::numeric_limits<double>::quiet_NaN(), 4), "....");
}

}  // namespace
}  // namespace millrace::cli
