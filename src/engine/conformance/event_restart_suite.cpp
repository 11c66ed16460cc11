#include "fixture.hpp"

namespace millrace::conformance {
namespace {

struct restart_case {
  engine_case engine;
  ending how;
};

std::vector<restart_case> restarts() {
  std::vector<restart_case> cases;
  for (const engine_case& one : reopenable_engines_under_test()) {
    for (const ending how : {ending::closed, ending::killed}) cases.push_back({one, how});
  }
  return cases;
}

std::string name_of(const restart_case& which) {
  return which.engine.name + (which.how == ending::killed ? "Killed" : "Closed");
}
void PrintTo(const restart_case& which, std::ostream* out) { *out << name_of(which); }

const stream_key flow{.name = "flow 1"};
const lock_key door{.resource = "door"};

class EventRestart : public engine_fixture, public testing::WithParamInterface<restart_case> {
protected:
  EventRestart() : engine_fixture(GetParam().engine) {}
  void restart(duration away = 0s) { engine_fixture::restart(GetParam().how, away); }
  event_published publish(std::string payload, std::string id = {}) {
    return run(publish_event{
        .stream = flow, .what = {.type = "t", .payload = std::move(payload), .id = std::move(id)}});
  }
};
INSTANTIATE_TEST_SUITE_P(Engine, EventRestart, testing::ValuesIn(restarts()),
                         [](const auto& info) { return name_of(info.param); });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(EventRestart);

TEST_P(EventRestart, KeepsEventsAndTheirCursors) {
  publish("1");
  const event_cursor second = publish("2").place;
  publish("3");
  restart(1h);
  auto page = ask(read_events{.stream = flow, .from = second});
  ASSERT_EQ(page.events.size(), 1U);
  EXPECT_EQ(page.gap, gap_reason::none);
  EXPECT_EQ(page.events.front().payload, "3");
  EXPECT_EQ(publish("4").place.offset, 4U);
  page = ask(read_events{.stream = flow, .from = second});
  EXPECT_EQ(page.events.size(), 2U);
  EXPECT_EQ(page.end.epoch, second.epoch);
}

TEST_P(EventRestart, KeepsWhatAStreamIsToKeep) {
  run(configure_stream{.stream = flow, .retention = {.count = 2, .age = 1h, .bytes = 1000}});
  publish("1");
  const event_cursor first = publish("2").place;
  publish("3");
  publish("4");
  restart();
  const stream_info info = ask(find_stream{flow}).value_or(stream_info{});
  EXPECT_EQ(info.retention, (event_retention{.count = 2, .age = 1h, .bytes = 1000}));
  EXPECT_EQ(info.first, 3U);
  EXPECT_EQ(info.bytes, 4U);
  EXPECT_EQ(ask(read_events{.stream = flow, .from = first}).gap, gap_reason::none);
  event_cursor wrong = first;
  wrong.stamp -= 1;
  EXPECT_EQ(ask(read_events{.stream = flow, .from = wrong}).gap, gap_reason::lost);
  publish("5");
  EXPECT_EQ(ask(read_events{.stream = flow, .from = first}).gap, gap_reason::trimmed);
}

TEST_P(EventRestart, KeepsTheEndOfAStreamThatIsEmpty) {
  run(configure_stream{.stream = flow, .retention = {.age = 1min}});
  publish("1");
  const event_cursor end = publish("2").place;
  advance(1min);
  settle();
  restart();
  publish("3");
  const auto page = ask(read_events{.stream = flow, .from = end});
  EXPECT_EQ(page.gap, gap_reason::none);
  ASSERT_EQ(page.events.size(), 1U);
  EXPECT_EQ(page.events.front().offset, 3U);
}

TEST_P(EventRestart, KnowsTheIdsOfEvents) {
  const event_cursor first = publish("1", "a").place;
  restart(23h);
  const event_published again = publish("2", "a");
  EXPECT_TRUE(again.duplicate);
  EXPECT_EQ(again.place, first);
  advance(2h);
  settle();
  EXPECT_FALSE(publish("3", "a").duplicate);
}

TEST_P(EventRestart, KeepsLocksUntilTheirEnd) {
  const auto held = run(acquire_lock{.key = door, .token = "t", .ttl = 30s, .owner = "me"});
  restart(10s);
  const auto refused = run(acquire_lock{.key = door, .token = "other", .ttl = 30s});
  EXPECT_FALSE(refused.granted);
  EXPECT_EQ(refused.lock.owner, "me");
  EXPECT_EQ(refused.lock.fence, held.lock.fence);
  EXPECT_EQ(refused.lock.expires_at, held.lock.expires_at);
  EXPECT_TRUE(run(extend_lock{.key = door, .token = "t", .ttl = 20s}).granted);
  restart(20s);
  EXPECT_EQ(refusal_of(extend_lock{.key = door, .token = "t", .ttl = 20s}), "lock_lost");
  const auto next = run(acquire_lock{.key = door, .token = "other", .ttl = 30s});
  EXPECT_TRUE(next.granted);
  EXPECT_GT(next.lock.fence, held.lock.fence);
}

TEST_P(EventRestart, KeepsWhatGoesOnUntilItIsOld) {
  run(put_progress{.correlation_id = "c", .total_steps = 3, .ttl = 1h});
  run(put_progress{.correlation_id = "c", .step = 1, .message = "one", .ttl = 1h});
  run(put_agent{.flow_id = "f", .what = {.agent = "a", .progress = 0.5}, .ttl = 1h});
  run(put_connection{.what = {.id = "x", .flow_id = "f"}, .ttl = 300s});
  restart(200s);
  const auto entry = ask(find_progress{.correlation_id = "c"});
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->current_step, 1U);
  ASSERT_EQ(entry->marks.size(), 1U);
  EXPECT_EQ(entry->marks.front().message, "one");
  EXPECT_EQ(ask(list_agents{.flow_id = "f"}).size(), 1U);
  EXPECT_EQ(ask(list_connections{.flow_id = "f"}).items.size(), 1U);
  restart(100s);
  settle();
  EXPECT_TRUE(ask(list_connections{.flow_id = "f"}).items.empty());
  restart(1h);
  settle();
  EXPECT_FALSE(ask(find_progress{.correlation_id = "c"}));
  EXPECT_TRUE(ask(list_agents{.flow_id = "f"}).empty());
}

}  // namespace
}  // namespace millrace::conformance
