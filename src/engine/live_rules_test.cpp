#include <millrace/engine/live_rules.hpp>

#include <millrace/engine/limits.hpp>

#include <gtest/gtest.h>

namespace millrace::engine {
namespace {

using namespace std::chrono_literals;

constexpr timestamp start{std::chrono::hours{1000}};

progress_entry begun(std::uint32_t total) {
  return *next_progress(nullptr, {.correlation_id = "c", .total_steps = total}, start);
}

progress_entry moved(const progress_entry& from, std::uint32_t step, timestamp at) {
  return *next_progress(&from, {.correlation_id = "c", .step = step}, at);
}

TEST(Progress, IsEstimatedByTheMedianStepSoThatAPauseCountsOnce) {
  progress_entry entry = begun(10);
  EXPECT_FALSE(estimated_completion(entry));
  timestamp at = start;
  for (std::uint32_t step = 1; step <= 5; ++step) {
    at += step == 3 ? duration{1h} : duration{10s};
    entry = moved(entry, step, at);
  }
  EXPECT_EQ(estimated_completion(entry), at + 50s);
}

TEST(Progress, HasNoEstimateOnceItIsDone) {
  const progress_entry entry = moved(begun(2), 2, start + 1s);
  EXPECT_FALSE(estimated_completion(entry));
}

TEST(Progress, KeepsTheLatestSteps) {
  progress_entry entry = begun(1000);
  for (std::uint32_t step = 1; step <= 150; ++step) entry = moved(entry, step, start + step * 1s);
  ASSERT_EQ(entry.marks.size(), progress_marks_max);
  EXPECT_EQ(entry.marks.front().step, 51U);
  EXPECT_EQ(estimated_completion(entry), start + 1000s);
}

TEST(TextFields, ComeBack) {
  const std::string text = text_fields().add("a:b").add(std::int64_t{-7}).add("").take();
  text_field_reader in(text);
  EXPECT_EQ(in.text(), "a:b");
  EXPECT_EQ(in.number(), -7);
  EXPECT_EQ(in.text(), "");
  EXPECT_TRUE(in.at_end());
  EXPECT_FALSE(in.failed());
}

TEST(TextFields, FailWhereTheyAreCut) {
  for (const std::string_view text : {"", "3:ab", "x:a", "3", "99999999999999999999999:a"}) {
    text_field_reader in(text);
    EXPECT_EQ(in.text(), "");
    EXPECT_TRUE(in.failed()) << text;
  }
}

}  // namespace
}  // namespace millrace::engine
