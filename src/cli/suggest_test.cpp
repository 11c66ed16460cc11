#include "suggest.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace millrace::cli {
namespace {

constexpr std::array<std::string_view, 5> words{"--priority", "--delay", "--data", "enqueue", "ls"};

TEST(Nearest, FindsSlipsOfTheFingers) {
  EXPECT_EQ(nearest("--priorty", words), "--priority");
  EXPECT_EQ(nearest("--PRIORITY", words), "--priority");
  EXPECT_EQ(nearest("enqueeu", words), "enqueue");
  EXPECT_EQ(nearest("l", words), "ls");
  EXPECT_EQ(nearest("sl", words), "ls");
}

TEST(Nearest, PrefersTheNearest) {
  EXPECT_EQ(nearest("--dela", words), "--delay");
  EXPECT_EQ(nearest("--dat", words), "--data");
}

TEST(Nearest, StaysSilentWhenNothingIsNear) {
  EXPECT_FALSE(nearest("--verbose", words));
  EXPECT_FALSE(nearest("", words));
  EXPECT_FALSE(nearest(std::string(10'000, 'x'), words));
  EXPECT_FALSE(nearest("x", {}));
}

}  // namespace
}  // namespace millrace::cli
