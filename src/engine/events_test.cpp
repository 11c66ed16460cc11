#include <millrace/engine/event_steps.hpp>

#include <gtest/gtest.h>

namespace millrace::engine {
namespace {

TEST(EventCursor, ComesBackFromItsText) {
  const event_cursor there{1'767'225'600'000'000, 42, 1'767'225'600'000'007};
  EXPECT_EQ(event_cursor::parse(there.text()), there);
  EXPECT_EQ(event_cursor{}.text(), "0.0.0");
  EXPECT_EQ(event_cursor::parse("0.0.0"), event_cursor{});
}

TEST(EventCursor, IsNothingElse) {
  for (const std::string_view text :
       {"", "1", "1.2", "1.2.", ".1.2", "1.2.3.", "1.2.3.4", "01.2.3", "A.2.3", "-1.2.3", "1 .2.3",
        "1.2.zzzzzzzzzzzzz", "1.2.99999999999999999999"}) {
    EXPECT_FALSE(event_cursor::parse(text)) << text;
  }
}

}  // namespace
}  // namespace millrace::engine
