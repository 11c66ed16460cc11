#include "sse_sources.hpp"

#include "stream_cursor.hpp"
#include "timing_wheel.hpp"

#include <gtest/gtest.h>

namespace millrace::http {
namespace {

const engine::stream_key flow{.name = "f"};

engine::event some_event(std::uint64_t offset) {
  engine::event one{.offset = offset, .stamp = 100 + offset, .type = "t"};
  one.payload = "{\n\"a\":\r1}";
  return one;
}

stream_place at(std::uint64_t offset) {
  return stream_place::of({.epoch = 7, .offset = offset, .stamp = 100 + offset});
}

TEST(EventBatch, GivesEachEventItsCursorAndOneLine) {
  const auto made = batch_of(flow, {.what = stream_place::kind::earliest},
                             {.events = {some_event(1)}, .end = {7, 1, 101}, .more = true});
  ASSERT_EQ(made.entries.size(), 1U);
  const event_batch::entry& one = made.entries.front();
  const std::string text = made.bytes.substr(one.text, one.text_end - one.text);
  const std::string cursor = engine::event_cursor{7, 1, 101}.text();
  EXPECT_TRUE(text.starts_with("id: " + cursor + "\nevent: t\ndata: {")) << text;
  EXPECT_NE(text.find(R"("payload":{ "a": 1})"), std::string::npos) << text;
  EXPECT_TRUE(text.ends_with("}\n\n"));
  EXPECT_EQ(made.bytes.substr(one.text, one.id_end - one.text), "id: " + cursor + "\n");
  EXPECT_EQ(made.end, at(1));
  EXPECT_TRUE(made.more);
  // One chunk of HTTP.
  const std::size_t length = std::stoul(made.bytes.substr(one.begin), nullptr, 16);
  EXPECT_EQ(length, text.size());
  EXPECT_EQ(made.bytes.substr(one.text_end), "\r\n");
}

TEST(EventBatch, TellsAGapOnceAlsoWhereNothingFollows) {
  const auto made =
      batch_of(flow, at(9), {.events = {}, .end = {7, 4, 104}, .gap = engine::gap_reason::lost});
  EXPECT_NE(made.bytes.find("id: " + engine::event_cursor{7, 4, 104}.text() + "\nevent: gap\n"),
            std::string::npos);
  EXPECT_NE(made.bytes.find(R"("reason":"lost")"), std::string::npos) << made.bytes;
  EXPECT_EQ(made.end, at(4));
}

TEST(EventBatch, TakesOnWhoeverStandsAtOneOfItsPlaces) {
  const auto made = batch_of(
      flow, at(1), {.events = {some_event(2), some_event(3)}, .end = {7, 3, 103}, .more = false});
  EXPECT_EQ(made.entry_from(at(1)), 0U);
  EXPECT_EQ(made.entry_from(at(2)), 1U);
  EXPECT_EQ(made.entry_from(at(3)), 2U);
  EXPECT_EQ(made.entry_from(at(4)), 3U);
  // The same offset with another stamp is another event.
  EXPECT_EQ(made.entry_from(stream_place::of({7, 2, 999})), 3U);
}

TEST(EventBatch, OfProgressThatIsOverEndsWhereNobodyStood) {
  engine::progress_entry entry{.status = engine::progress_status::completed, .version = 5};
  const stream_place seen{.what = stream_place::kind::cursor, .stamp = 5};
  const auto made = batch_of(seen, entry);
  EXPECT_TRUE(made.ended);
  EXPECT_NE(made.bytes.find("event: end\n"), std::string::npos);
  EXPECT_NE(made.end, seen);
  const auto gone = batch_of(seen, std::nullopt);
  EXPECT_TRUE(gone.ended);
  EXPECT_NE(gone.bytes.find(R"({"status":"deleted"})"), std::string::npos);
  EXPECT_FALSE(batch_of(stream_place{}, std::nullopt).ended);
}

TEST(EventBatch, EndsWhereItIsLargeEnough) {
  engine::read_events::page page{.end = {7, 4, 104}};
  for (std::uint64_t i = 1; i <= 4; ++i) {
    page.events.push_back(some_event(i));
    page.events.back().payload = '"' + std::string(batch_bytes_max / 2, 'x') + '"';
  }
  const auto made = batch_of(flow, at(0), page);
  EXPECT_EQ(made.entries.size(), 2U);
  EXPECT_EQ(made.end, at(2));
  EXPECT_TRUE(made.more);
}

TEST(StreamPositions, ReadBackAsTheyWereWritten) {
  const std::vector<stream_position> all{{stream_hash("a"), {1, 2, 3}},
                                         {stream_hash("b"), {0, 0, 0}},
                                         {0xffffffff, {9'007'199'254'740'991, 1, 2}}};
  const std::string text = positions_text(all);
  EXPECT_EQ(parse_positions(text), all) << text;
  for (const std::string_view bad :
       {"", "~", "1.2.3", "x", "1.1.2.3~", "~1.1.2.3", "zzzzzzzz.1.2.3", "A.1.2.3", "01.1.2.3"}) {
    EXPECT_FALSE(parse_positions(bad)) << bad;
  }
}

struct tile {
  wheel_place on_wheel;
};

TEST(TimingWheel, GivesEachItemAtItsTick) {
  timing_wheel<tile> wheel;
  const auto soon = std::make_shared<tile>();
  const auto late = std::make_shared<tile>();
  const auto gone = std::make_shared<tile>();
  wheel.insert(soon, 1);
  wheel.insert(gone, 2);
  wheel.insert(late, 2);
  EXPECT_EQ(wheel.ticks_left(*late), 2U);
  wheel.erase(*gone);
  wheel.erase(*gone);
  EXPECT_EQ(wheel.tick(), std::vector{soon});
  EXPECT_EQ(wheel.tick(), std::vector{late});
  EXPECT_EQ(wheel.size(), 0U);
  for (int i = 0; i < 200; ++i) EXPECT_TRUE(wheel.tick().empty());
}

}  // namespace
}  // namespace millrace::http
