#include "sse_parser.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace millrace::client {
namespace {

std::vector<event> all_of(sse_parser& parser) {
  std::vector<event> taken;
  while (auto next = parser.take()) taken.push_back(std::move(*next));
  return taken;
}

TEST(SseParser, ReadsTypeDataAndId) {
  sse_parser parser;
  ASSERT_TRUE(parser.feed("id: 7\nevent: job\ndata: {\"a\":1}\n\n"));
  const auto events = all_of(parser);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].type, "job");
  EXPECT_EQ(events[0].data, "{\"a\":1}");
  EXPECT_EQ(events[0].id, "7");
}

TEST(SseParser, JoinsLinesOfDataAndKeepsTheLastId) {
  sse_parser parser;
  ASSERT_TRUE(parser.feed("id: 1\ndata: a\ndata:b\n\ndata: c\n\n"));
  const auto events = all_of(parser);
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].data, "a\nb");
  EXPECT_EQ(events[0].type, "message");
  EXPECT_EQ(events[1].id, "1");
}

// Whatever the pieces in which the bytes come, and whichever way lines end, the events are the
// same.
TEST(SseParser, DoesNotCareHowTheBytesAreCut) {
  for (const std::string end : {"\n", "\r", "\r\n"}) {
    const std::string text =
        "event: x" + end + ": comment" + end + "data: 1" + end + end + "data: 2" + end + end;
    for (std::size_t cut = 1; cut < text.size(); ++cut) {
      sse_parser parser;
      ASSERT_TRUE(parser.feed(std::string_view{text}.substr(0, cut)));
      ASSERT_TRUE(parser.feed(std::string_view{text}.substr(cut)));
      const auto events = all_of(parser);
      ASSERT_EQ(events.size(), 2U) << cut;
      EXPECT_EQ(events[0].type, "x");
      EXPECT_EQ(events[0].data, "1");
      EXPECT_EQ(events[1].type, "message");
    }
  }
}

TEST(SseParser, GivesNothingForCommentsAndEventsWithoutData) {
  sse_parser parser;
  ASSERT_TRUE(parser.feed(": keep-alive\n\nevent: empty\n\nretry: 1500\n\n"));
  EXPECT_FALSE(parser.take());
  EXPECT_EQ(parser.retry(), std::chrono::milliseconds{1500});
}

TEST(SseParser, KeepsAnIdThatCameWithoutData) {
  sse_parser parser;
  ASSERT_TRUE(parser.feed("id: 1\ndata: x\n\nid: 2\n\n"));
  EXPECT_EQ(all_of(parser).size(), 1U);
  EXPECT_EQ(parser.last_id(), "2");
}

TEST(SseParser, IgnoresAnIdWithANulAndARetryThatIsNoNumber) {
  sse_parser parser;
  ASSERT_TRUE(parser.feed(std::string_view{"id: a\0b\nretry: 1s\ndata: x\n\n", 27}));
  const auto events = all_of(parser);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].id, "");
  EXPECT_FALSE(parser.retry());
}

TEST(SseParser, RefusesAnEventWithoutEnd) {
  sse_parser parser;
  const std::string chunk(1U << 20U, 'x');
  ASSERT_TRUE(parser.feed("data: "));
  result<void> fed;
  for (int i = 0; i < 5 && fed; ++i) fed = parser.feed(chunk);
  ASSERT_FALSE(fed);
  EXPECT_EQ(fed.error().code, "event_too_large");
}

}  // namespace
}  // namespace millrace::client
