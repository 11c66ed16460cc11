#include "fixture.hpp"

#include <millrace/base/testing.hpp>
#include <millrace/engine/limits.hpp>

namespace millrace::conformance {
namespace {

const stream_key flow{.name = "flow 1"};
const stream_key quiet{.name = "quiet"};
using order = read_events::order;

class event_test : public engine_test {
protected:
  event_published publish(event what, const stream_key& to = flow) {
    if (what.type.empty()) what.type = "t";
    return run(publish_event{.stream = to, .what = std::move(what)});
  }
  void publish_numbers(std::size_t from, std::size_t to, const stream_key& into = flow) {
    transaction many;
    for (std::size_t i = from; i <= to; ++i) {
      many.steps.emplace_back(
          publish_event{.stream = into, .what = {.type = "t", .payload = std::to_string(i)}});
    }
    ASSERT_TRUE(commit(std::move(many)));
  }
  [[nodiscard]] read_events::page read(read_events what = {}) {
    if (what.stream.name.empty()) what.stream = flow;
    return ask(std::move(what));
  }
  [[nodiscard]] static std::vector<std::string> payloads(const read_events::page& page) {
    std::vector<std::string> out;
    for (const event& each : page.events) out.push_back(each.payload);
    return out;
  }
  [[nodiscard]] stream_info stream(const stream_key& key = flow) {
    return ask(find_stream{key}).value_or(stream_info{});
  }
};
using texts = std::vector<std::string>;

#define MILLRACE_EVENT_SUITE(suite)   \
  class suite : public event_test {}; \
  INSTANTIATE_TEST_SUITE_P(Engine, suite, testing::ValuesIn(engines_under_test()), case_name)

MILLRACE_EVENT_SUITE(Stream);

TEST_P(Stream, IsEmptyBeforeItsFirstEvent) {
  const auto page = read();
  EXPECT_TRUE(page.events.empty());
  EXPECT_EQ(page.end, event_cursor{});
  EXPECT_EQ(page.gap, gap_reason::none);
  EXPECT_FALSE(page.more);
  EXPECT_FALSE(ask(find_stream{flow}));
}

TEST_P(Stream, GivesBackWhatWasPublished) {
  const event what{.type = "page.done",
                   .payload = R"({ "n" : 1.0e2 })",
                   .source = "ocr",
                   .correlation_id = "c 1",
                   .id = "i"};
  const event_published done = publish(what);
  const auto page = read();
  ASSERT_EQ(page.events.size(), 1U);
  const event& got = page.events.front();
  EXPECT_EQ(got.type, what.type);
  EXPECT_EQ(got.payload, what.payload);
  EXPECT_EQ(got.source, what.source);
  EXPECT_EQ(got.correlation_id, what.correlation_id);
  EXPECT_EQ(got.id, what.id);
  EXPECT_EQ(got.at, now());
  EXPECT_EQ(got.offset, 1U);
  EXPECT_EQ(done.place, page.end);
  EXPECT_EQ(done.place.stamp, got.stamp);
  EXPECT_FALSE(done.duplicate);
}

TEST_P(Stream, CountsWithoutAHoleWhateverIsCommittedTogether) {
  publish_numbers(1, 3);
  publish({.payload = "\"other\""}, quiet);
  publish_numbers(4, 5);
  const auto page = read();
  ASSERT_EQ(page.events.size(), 5U);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(page.events[i].offset, i + 1);
    EXPECT_EQ(page.events[i].payload, std::to_string(i + 1));
    if (i > 0) EXPECT_GT(page.events[i].stamp, page.events[i - 1].stamp);
  }
  EXPECT_EQ(stream().last, 5U);
  EXPECT_EQ(stream(quiet).last, 1U);
}

TEST_P(Stream, TakesNoEventOfATransactionThatIsRefused) {
  publish_numbers(1, 1);
  const auto done = commit_all(publish_event{.stream = flow, .what = {.type = "t"}},
                               ack_job{.id = {"work", 1}, .token = 1});
  EXPECT_EQ(word(done), "job_not_found");
  publish({.payload = "2"});
  EXPECT_EQ(payloads(read()), (texts{"1", "2"}));
}

TEST_P(Stream, OfAnotherProjectIsAnotherStream) {
  publish({.payload = "1"});
  publish({.payload = "2"}, {.project = "p", .name = flow.name});
  EXPECT_EQ(payloads(read()), texts{"1"});
  EXPECT_EQ(payloads(read({.stream = {.project = "p", .name = flow.name}})), texts{"2"});
}

MILLRACE_EVENT_SUITE(ReadingEvents);

TEST_P(ReadingEvents, GoesForwardPageByPage) {
  publish_numbers(1, 7);
  auto page = read({.limit = 3});
  EXPECT_EQ(payloads(page), (texts{"1", "2", "3"}));
  EXPECT_TRUE(page.more);
  page = read({.from = page.end, .limit = 3});
  EXPECT_EQ(payloads(page), (texts{"4", "5", "6"}));
  page = read({.from = page.end, .limit = 3});
  EXPECT_EQ(payloads(page), texts{"7"});
  EXPECT_FALSE(page.more);
  const auto end = read({.from = page.end});
  EXPECT_TRUE(end.events.empty());
  EXPECT_EQ(end.end, page.end);
  EXPECT_EQ(end.gap, gap_reason::none);
}

TEST_P(ReadingEvents, GoesBackwardPageByPage) {
  publish_numbers(1, 5);
  auto page = read({.way = order::newest_first, .limit = 3});
  EXPECT_EQ(payloads(page), (texts{"5", "4", "3"}));
  EXPECT_TRUE(page.more);
  page = read({.way = order::newest_first, .from = page.end, .limit = 3});
  EXPECT_EQ(payloads(page), (texts{"2", "1"}));
  EXPECT_FALSE(page.more);
  EXPECT_TRUE(read({.way = order::newest_first, .from = page.end}).events.empty());
  EXPECT_TRUE(read({.way = order::newest_first, .from = event_cursor{}}).events.empty());
}

TEST_P(ReadingEvents, BeginsAtATime) {
  publish_numbers(1, 2);
  advance(10s);
  const timestamp middle = now();
  publish_numbers(3, 4);
  advance(10s);
  publish_numbers(5, 5);
  EXPECT_EQ(payloads(read({.at = middle})), (texts{"3", "4", "5"}));
  EXPECT_EQ(payloads(read({.at = middle + 1us})), texts{"5"});
  EXPECT_EQ(payloads(read({.at = now() + 1us})), texts{});
  EXPECT_EQ(read({.at = now() + 1us}).end, stream().end());
  EXPECT_EQ(payloads(read({.way = order::newest_first, .at = middle})),
            (texts{"4", "3", "2", "1"}));
  EXPECT_EQ(payloads(read({.way = order::newest_first, .at = timestamp{}})), texts{});
}

TEST_P(ReadingEvents, FromBeforeTheFirstEventMissesNothing) {
  const auto before = read();
  publish_numbers(1, 2);
  const auto page = read({.from = before.end});
  EXPECT_EQ(payloads(page), (texts{"1", "2"}));
  EXPECT_EQ(page.gap, gap_reason::none);
}

TEST_P(ReadingEvents, TellsOfACursorOfTheFutureAndGoesOnBehindIt) {
  publish_numbers(1, 2);
  event_cursor ahead = stream().end();
  ahead.offset += 5;
  const auto page = read({.from = ahead});
  EXPECT_EQ(page.gap, gap_reason::lost);
  EXPECT_TRUE(page.events.empty());
  EXPECT_EQ(page.end, stream().end());
}

// The store lost its end, and gave the offset to another event.
TEST_P(ReadingEvents, TellsOfAnOffsetThatWasGivenTwice) {
  publish_numbers(1, 1);
  advance(1s);
  publish_numbers(2, 3);
  const auto first = read({.limit = 1}).end;
  event_cursor lost = read({.limit = 2}).end;
  lost.stamp = first.stamp + 1;
  auto page = read({.from = lost});
  EXPECT_EQ(page.gap, gap_reason::lost);
  EXPECT_EQ(payloads(page), (texts{"2", "3"}));
  lost = stream().end();
  lost.stamp -= 1;
  page = read({.from = lost});
  EXPECT_EQ(page.gap, gap_reason::lost);
  EXPECT_EQ(payloads(page), texts{"3"});
}

TEST_P(ReadingEvents, TellsOfACursorOfAnotherStream) {
  publish_numbers(1, 2);
  const event_cursor foreign = publish({.payload = "0"}, quiet).place;
  publish_numbers(3, 3);
  const auto page = read({.from = foreign});
  EXPECT_EQ(page.gap, gap_reason::other_epoch);
  EXPECT_EQ(payloads(page), texts{"3"});
  const auto back = read({.way = order::newest_first, .from = foreign});
  EXPECT_EQ(back.gap, gap_reason::other_epoch);
  EXPECT_EQ(payloads(back), (texts{"2", "1"}));
  const auto nowhere = read({.stream = {.name = "never"}, .from = foreign});
  EXPECT_EQ(nowhere.gap, gap_reason::other_epoch);
  EXPECT_EQ(nowhere.end, event_cursor{});
}

TEST_P(ReadingEvents, BoundsAPageByItsBytes) {
  const std::string large = '"' + std::string(event_page_bytes_max / 8, 'x') + '"';
  for (int i = 0; i < 12; ++i) publish({.payload = large});
  const auto page = read();
  EXPECT_EQ(page.events.size(), 8U);
  EXPECT_TRUE(page.more);
  EXPECT_EQ(read({.from = page.end}).events.size(), 4U);
}

MILLRACE_EVENT_SUITE(EventRetention);

TEST_P(EventRetention, KeepsTheNewestTenThousand) {
  for (std::size_t i = 0; i < 10; ++i) publish_numbers(i * 1000 + 1, (i + 1) * 1000);
  EXPECT_EQ(stream().first, 1U);
  const event_cursor begin{stream().epoch, 0, 0};
  EXPECT_EQ(read({.from = begin, .limit = 1}).gap, gap_reason::none);
  publish_numbers(10'001, 10'003);
  EXPECT_EQ(stream().first, 4U);
  EXPECT_EQ(stream().count(), 10'000U);
  const auto page = read({.from = begin, .limit = 1});
  EXPECT_EQ(page.gap, gap_reason::trimmed);
  EXPECT_EQ(payloads(page), texts{"4"});
}

TEST_P(EventRetention, IsTheStreamsOwnOnceItIsSet) {
  publish_numbers(1, 5);
  const auto done =
      run(configure_stream{.stream = flow, .retention = {.count = 2, .age = 1h, .bytes = 1000}});
  EXPECT_EQ(done.stream.first, 4U);
  EXPECT_EQ(done.stream.retention.count, 2U);
  publish_numbers(6, 6);
  EXPECT_EQ(payloads(read()), (texts{"5", "6"}));
  EXPECT_EQ(payloads(read({.way = order::newest_first})), (texts{"6", "5"}));
}

TEST_P(EventRetention, TellsTheFirstEventAfterACursorThatIsStillExact) {
  run(configure_stream{.stream = flow, .retention = {.count = 2}});
  publish_numbers(1, 2);
  const event_cursor second = stream().end();
  publish_numbers(3, 4);
  const auto page = read({.from = second});
  EXPECT_EQ(page.gap, gap_reason::none);
  EXPECT_EQ(payloads(page), (texts{"3", "4"}));
  event_cursor other = second;
  other.stamp -= 1;
  EXPECT_EQ(read({.from = other}).gap, gap_reason::lost);
  publish_numbers(5, 5);
  EXPECT_EQ(read({.from = second}).gap, gap_reason::trimmed);
}

TEST_P(EventRetention, BoundsBytesButKeepsTheLast) {
  run(configure_stream{.stream = flow, .retention = {.bytes = 100}});
  for (int i = 0; i < 5; ++i) publish({.payload = '"' + std::string(37, 'x') + '"'});
  EXPECT_EQ(stream().count(), 2U);
  EXPECT_EQ(stream().bytes, 80U);
  publish({.payload = '"' + std::string(500, 'x') + '"'});
  EXPECT_EQ(stream().count(), 1U);
  EXPECT_EQ(stream().first, 6U);
}

TEST_P(EventRetention, EndsWithAge) {
  run(configure_stream{.stream = flow, .retention = {.age = 60s}});
  publish_numbers(1, 2);
  advance(30s);
  publish_numbers(3, 3);
  advance(30s);
  settle();
  EXPECT_EQ(payloads(read()), texts{"3"});
  advance(30s);
  settle();
  EXPECT_EQ(payloads(read()), texts{});
  // It goes on counting: its readers miss nothing.
  const event_cursor end = stream().end();
  EXPECT_EQ(end.offset, 3U);
  publish_numbers(4, 4);
  const auto page = read({.from = end});
  EXPECT_EQ(page.gap, gap_reason::none);
  ASSERT_EQ(page.events.size(), 1U);
  EXPECT_EQ(page.events.front().offset, 4U);
}

TEST_P(EventRetention, ForgetsAStreamThatIsLeftAlone) {
  publish_numbers(1, 2);
  const event_cursor end = stream().end();
  advance(24h * 7);
  settle();
  EXPECT_FALSE(ask(find_stream{flow}));
  publish_numbers(3, 3);
  const auto page = read({.from = end});
  EXPECT_EQ(page.gap, gap_reason::other_epoch);
  EXPECT_EQ(payloads(page), texts{"3"});
  EXPECT_EQ(page.end.offset, 1U);
}

MILLRACE_EVENT_SUITE(EventId);

TEST_P(EventId, IsPublishedOnceADay) {
  const auto first = publish({.payload = "1", .id = "a"});
  publish({.payload = "2", .id = "b"});
  advance(24h - 1us);
  const auto again = publish({.payload = "3", .id = "a"});
  EXPECT_TRUE(again.duplicate);
  EXPECT_EQ(again.place, first.place);
  EXPECT_EQ(again.at, first.at);
  EXPECT_EQ(payloads(read()), (texts{"1", "2"}));
  advance(1us);
  settle();
  EXPECT_FALSE(publish({.payload = "4", .id = "a"}).duplicate);
  EXPECT_EQ(payloads(read()), (texts{"1", "2", "4"}));
}

TEST_P(EventId, BelongsToItsStream) {
  publish({.id = "a"});
  EXPECT_FALSE(publish({.id = "a"}, quiet).duplicate);
}

TEST_P(EventId, StandsOnceInATransaction) {
  const publish_event one{.stream = flow, .what = {.type = "t", .id = "a"}};
  EXPECT_EQ(word(commit_all(one, one)), "duplicate_target");
  const publish_event without{.stream = flow, .what = {.type = "t"}};
  EXPECT_EQ(word(commit_all(without, without)), "done");
}

TEST_P(EventId, IsFreeWhereItsTransactionIsRefused) {
  const publish_event one{.stream = flow, .what = {.type = "t", .id = "a"}};
  EXPECT_EQ(word(commit_all(one, release_lock{.key = {.resource = "r"}, .token = "t"})),
            "lock_lost");
  EXPECT_FALSE(run(one).duplicate);
}

MILLRACE_EVENT_SUITE(PublishingWithAKey);

TEST_P(PublishingWithAKey, AnswersAsTheFirstTime) {
  transaction one;
  one.steps.emplace_back(publish_event{.stream = flow, .what = {.type = "t"}});
  one.idempotency = {.project = "default", .route = "r", .key = "k", .fingerprint = 1};
  const auto first = commit(one);
  ASSERT_TRUE(first);
  advance(1s);
  const auto again = commit(one);
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->replayed);
  const auto& before = std::get<event_published>(first->outcomes.at(0));
  const auto& after = std::get<event_published>(again->outcomes.at(0));
  EXPECT_EQ(before.place, after.place);
  EXPECT_EQ(before.at, after.at);
  EXPECT_EQ(stream().last, 1U);
}

MILLRACE_EVENT_SUITE(StreamHint);

TEST_P(StreamHint, ReachesEverybodyWhoListens) {
  auto first = store().hints().listen({stream_topic(flow.project, flow.name)});
  auto second = store().hints().listen({stream_topic(flow.project, flow.name)});
  auto other_one = store().hints().listen({stream_topic(quiet.project, quiet.name)});
  publish({});
  EXPECT_TRUE(run_coro(first.wait(10s)));
  EXPECT_TRUE(run_coro(second.wait(10s)));
  EXPECT_FALSE(run_coro(other_one.wait(0s)));
}

MILLRACE_EVENT_SUITE(EventBounds);

TEST_P(EventBounds, RefuseWhatCannotBeAnEvent) {
  const auto why = [this](event what) {
    return refusal_of(publish_event{.stream = flow, .what = std::move(what)});
  };
  EXPECT_EQ(why({.type = ""}), "invalid_value");
  EXPECT_EQ(why({.type = "gap"}), "invalid_value");
  EXPECT_EQ(why({.type = "a\nb"}), "invalid_value");
  EXPECT_EQ(why({.type = "t", .id = "a\rb"}), "invalid_key");
  EXPECT_EQ(why({.type = "t", .payload = "{"}), "malformed_json");
  EXPECT_EQ(why({.type = "t", .payload = '"' + std::string(item_bytes_max, 'x') + '"'}),
            "value_too_large");
  EXPECT_EQ(refusal_of(publish_event{.stream = {.name = ""}, .what = {.type = "t"}}),
            "invalid_key");
  EXPECT_EQ(refusal_of(configure_stream{.stream = flow, .retention = {.count = 0}}),
            "invalid_value");
  EXPECT_FALSE(ask(find_stream{flow}));
}

}  // namespace
}  // namespace millrace::conformance
