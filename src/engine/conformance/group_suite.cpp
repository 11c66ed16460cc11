#include "fixture.hpp"

#include <millrace/base/testing.hpp>
#include <millrace/engine/limits.hpp>

#include <string>
#include <vector>

namespace millrace::conformance {
namespace {

const stream_key flow{.name = "flow"};
const group_key mailers{.stream = flow, .group = "mailers"};

class group_test : public engine_test {
protected:
  void publish(std::string type) {
    run(publish_event{.stream = flow, .what = {.type = std::move(type)}});
  }
  void publish_many(int count) {
    for (int i = 1; i <= count; ++i) publish(std::to_string(i));
  }
  group_read read(std::string consumer, std::uint32_t max = 10, duration lease = 30s) {
    return run(
        read_group{.group = mailers, .consumer = std::move(consumer), .max = max, .lease = lease});
  }
  static std::vector<std::string> types(const group_read& got) {
    std::vector<std::string> out;
    for (const group_delivery& each : got.events) out.push_back(each.what.type);
    return out;
  }
  deliveries_settled settle_of(std::string consumer, std::vector<std::uint64_t> offsets,
                               settle_deliveries::verdict what = settle_deliveries::verdict::done) {
    return run(settle_deliveries{.group = mailers,
                                 .consumer = std::move(consumer),
                                 .offsets = std::move(offsets),
                                 .what = what});
  }
  [[nodiscard]] std::vector<pending_delivery> pending() { return ask(list_pending{mailers}); }
};

using texts = std::vector<std::string>;
using offsets = std::vector<std::uint64_t>;

#define MILLRACE_GROUP_SUITE(suite)   \
  class suite : public group_test {}; \
  INSTANTIATE_TEST_SUITE_P(Engine, suite, testing::ValuesIn(engines_under_test()), case_name)

MILLRACE_GROUP_SUITE(ConsumerGroup);

TEST_P(ConsumerGroup, GivesEachEventToOneConsumer) {
  publish_many(5);
  EXPECT_EQ(types(read("a", 2)), (texts{"1", "2"}));
  EXPECT_EQ(types(read("b", 2)), (texts{"3", "4"}));
  const auto last = read("a", 2);
  EXPECT_EQ(types(last), texts{"5"});
  EXPECT_EQ(last.group.pending, 5U);
  EXPECT_EQ(last.group.waiting, 0U);
  EXPECT_EQ(last.next_end, now() + 30s);
  EXPECT_TRUE(read("b").events.empty());
  publish("6");
  EXPECT_EQ(types(read("b")), texts{"6"});
}

TEST_P(ConsumerGroup, ReadsApartFromOtherGroups) {
  publish_many(2);
  EXPECT_EQ(types(read("a")), (texts{"1", "2"}));
  const group_key other_group{.stream = flow, .group = "others"};
  EXPECT_EQ(types(run(read_group{.group = other_group, .consumer = "a"})), (texts{"1", "2"}));
  const auto groups = ask(list_groups{flow});
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_EQ(groups[0].group, mailers);
  EXPECT_EQ(groups[1].group, other_group);
}

TEST_P(ConsumerGroup, BeginsWhereItIsTold) {
  publish_many(3);
  const auto place = ask(read_events{.stream = flow, .limit = 1}).end;
  const auto begin = [&](std::string name, group_start start) {
    return run(put_group{.group = {.stream = flow, .group = std::move(name)}, .start = start});
  };
  EXPECT_TRUE(begin("mailers", {.at = group_start::place::latest}).made);
  EXPECT_FALSE(begin("mailers", {.at = group_start::place::earliest}).made);
  EXPECT_TRUE(read("a").events.empty());
  begin("behind", {.at = group_start::place::cursor, .cursor = place});
  EXPECT_EQ(types(run(read_group{.group = {.stream = flow, .group = "behind"}, .consumer = "a"})),
            (texts{"2", "3"}));
  begin("all", {});
  EXPECT_EQ(
      types(run(read_group{.group = {.stream = flow, .group = "all"}, .consumer = "a"})).size(),
      3U);
}

TEST_P(ConsumerGroup, ExistsBeforeItsStream) {
  run(put_group{.group = mailers, .start = {.at = group_start::place::latest}});
  EXPECT_FALSE(ask(find_stream{flow}));
  EXPECT_TRUE(read("a").events.empty());
  publish("1");
  const auto got = read("a");
  EXPECT_EQ(types(got), texts{"1"});
  EXPECT_EQ(got.gap, gap_reason::none);
}

TEST_P(ConsumerGroup, IsMovedWithWhatWasPending) {
  publish_many(3);
  read("a");
  EXPECT_EQ(run(put_group{.group = mailers, .move = true}).group.pending, 0U);
  EXPECT_EQ(settle_of("a", {1}).lost, offsets{1});
  const auto again = read("b");
  EXPECT_EQ(types(again), (texts{"1", "2", "3"}));
  EXPECT_EQ(again.events[0].deliveries, 1U);
}

TEST_P(ConsumerGroup, IsDeletedAsAWhole) {
  publish_many(2);
  read("a");
  EXPECT_EQ(refusal_of(delete_group{mailers}), "done");
  EXPECT_EQ(refusal_of(delete_group{mailers}), "group_not_found");
  EXPECT_TRUE(pending().empty());
  EXPECT_TRUE(ask(list_groups{flow}).empty());
  EXPECT_EQ(refusal_of(settle_deliveries{.group = mailers, .consumer = "a", .offsets = {1}}),
            "group_not_found");
  EXPECT_EQ(read("a").events.size(), 2U);
}

MILLRACE_GROUP_SUITE(Delivery);

TEST_P(Delivery, IsSettledByItsConsumerAlone) {
  publish_many(3);
  read("a", 2);
  read("b", 1);
  const auto done = settle_of("a", {1, 3, 7});
  EXPECT_EQ(done.settled, 1U);
  EXPECT_EQ(done.lost, (offsets{3, 7}));
  EXPECT_EQ(done.pending, 2U);
  EXPECT_EQ(settle_of("a", {1}).lost, offsets{1});
  const auto left = pending();
  ASSERT_EQ(left.size(), 2U);
  EXPECT_EQ(left[0].offset, 2U);
  EXPECT_EQ(left[0].consumer, "a");
  EXPECT_EQ(left[1].consumer, "b");
  EXPECT_EQ(ask(list_pending{.group = mailers, .after = 2, .limit = 1})[0].offset, 3U);
}

TEST_P(Delivery, ComesAgainWhenItsLeaseEnds) {
  publish_many(3);
  read("a", 2, 10s);
  advance(10s - 1us);
  EXPECT_EQ(types(read("b", 1)), texts{"3"});
  EXPECT_TRUE(read("b").events.empty());
  advance(1us);
  // Until somebody else has it, it can still be settled.
  EXPECT_EQ(settle_of("a", {2}).settled, 1U);
  const auto again = read("b");
  ASSERT_EQ(types(again), texts{"1"});
  EXPECT_EQ(again.events[0].deliveries, 2U);
  EXPECT_EQ(settle_of("a", {1}).lost, offsets{1});
  EXPECT_EQ(settle_of("b", {1}).settled, 1U);
}

TEST_P(Delivery, ComesAgainBeforeWhatIsNewAndInOrder) {
  publish_many(4);
  read("a", 1, 20s);
  read("a", 1, 10s);
  advance(20s);
  EXPECT_EQ(types(read("b", 3)), (texts{"1", "2", "3"}));
}

TEST_P(Delivery, IsExtendedAndGivenBack) {
  publish_many(2);
  read("a", 2, 10s);
  EXPECT_EQ(settle_of("a", {1}, settle_deliveries::verdict::extend).settled, 1U);
  advance(10s);
  EXPECT_EQ(types(read("b")), texts{"2"});
  EXPECT_EQ(pending()[0].lease_ends_at, now() + 20s);
  settle_of("a", {1}, settle_deliveries::verdict::again);
  const auto again = read("c");
  EXPECT_EQ(types(again), texts{"1"});
  EXPECT_EQ(again.events[0].deliveries, 2U);
}

TEST_P(Delivery, IsCommittedWithItsEffectOrNotAtAll) {
  publish_many(1);
  read("a", 1, 10s);
  advance(10s);
  read("b", 1, 10s);
  const auto handle = [](std::string consumer) {
    return settle_deliveries{
        .group = mailers, .consumer = std::move(consumer), .offsets = {1}, .all = true};
  };
  const enqueue_job effect{.queue = work};
  EXPECT_EQ(word(commit_all(effect, handle("a"))), "delivery_lost");
  EXPECT_EQ(word(commit_all(effect, handle("b"))), "done");
  EXPECT_EQ(info().waiting, 1U);
  EXPECT_EQ(word(commit_all(handle("b"), handle("b"))), "duplicate_target");
}

TEST_P(Delivery, SurvivesARestart) {
  publish_many(4);
  read("a", 2, 60s);
  settle_of("a", {1});
  for (const ending how : {ending::closed, ending::killed}) {
    restart(how);
    ASSERT_EQ(pending().size(), 1U);
    EXPECT_EQ(pending()[0].offset, 2U);
    EXPECT_EQ(pending()[0].consumer, "a");
  }
  EXPECT_EQ(types(read("b")), (texts{"3", "4"}));
  advance(60s);
  EXPECT_EQ(types(read("b")), (texts{"2", "3", "4"}));
}

TEST_P(Delivery, TellsWhatWasTrimmedBeforeItWasRead) {
  run(configure_stream{.stream = flow, .retention = {.count = 3}});
  publish_many(2);
  EXPECT_EQ(read("a", 1, 10s).events.size(), 1U);
  for (int i = 3; i <= 7; ++i) publish(std::to_string(i));
  advance(10s);
  const auto got = read("b");
  EXPECT_EQ(types(got), (texts{"5", "6", "7"}));
  EXPECT_EQ(got.gap, gap_reason::trimmed);
  // The first was pending, the second to the fourth were never read.
  EXPECT_EQ(got.missed, 4U);
  EXPECT_EQ(read("b").gap, gap_reason::none);
}

TEST_P(Delivery, TellsThatItsStreamBeganAnew) {
  run(put_group{.group = mailers});
  publish_many(2);
  read("a", 1);
  advance(24h * 8);
  settle();
  ASSERT_FALSE(ask(find_stream{flow}));
  EXPECT_EQ(read("a").events.size(), 0U);
  publish("new");
  const auto got = read("a");
  EXPECT_EQ(types(got), texts{"new"});
  EXPECT_EQ(got.gap, gap_reason::other_epoch);
  EXPECT_EQ(read("a").gap, gap_reason::none);
}

TEST_P(Delivery, IsBoundedByWhatIsPending) {
  constexpr std::uint32_t at_once = 1000;
  run(configure_stream{.stream = flow, .retention = {.count = 20'000}});
  for (std::size_t i = 0; i < group_pending_max / at_once + 1; ++i) {
    transaction many;
    for (std::uint32_t n = 0; n < at_once; ++n) {
      many.steps.emplace_back(publish_event{.stream = flow, .what = {.type = "t"}});
    }
    ASSERT_EQ(word(commit(std::move(many))), "done");
  }
  for (std::size_t i = 0; i < group_pending_max / at_once; ++i) {
    EXPECT_EQ(read("a", at_once).events.size(), at_once);
  }
  const auto full = read("a", at_once);
  EXPECT_TRUE(full.events.empty());
  EXPECT_TRUE(full.full);
  EXPECT_EQ(full.group.waiting, at_once);
  settle_of("a", {5, 6});
  const auto more = read("a", at_once);
  EXPECT_EQ(more.events.size(), 2U);
  EXPECT_TRUE(more.full);
}

MILLRACE_GROUP_SUITE(GroupHint);

TEST_P(GroupHint, ComesWithAnEventAndWithOneThatIsGivenBack) {
  auto listener = store().hints().listen({stream_topic("default", "flow")});
  EXPECT_TRUE(read("a").events.empty());
  publish("1");
  EXPECT_TRUE(run_coro(listener.wait(10s)));
  EXPECT_EQ(read("a").events.size(), 1U);
  settle_of("a", {1}, settle_deliveries::verdict::again);
  EXPECT_TRUE(run_coro(listener.wait(10s)));
  EXPECT_EQ(read("b").events.size(), 1U);
}

MILLRACE_GROUP_SUITE(GroupBounds);

TEST_P(GroupBounds, RefuseOneGroupTooMany) {
  for (std::size_t i = 0; i < stream_groups_max; ++i) {
    run(put_group{.group = {.stream = flow, .group = "g" + std::to_string(i)}});
  }
  EXPECT_EQ(refusal_of(put_group{.group = mailers}), "too_many_groups");
  EXPECT_EQ(refusal_of(read_group{.group = mailers, .consumer = "a"}), "too_many_groups");
  EXPECT_EQ(refusal_of(put_group{.group = {.stream = {.name = "other"}, .group = "g"}}), "done");
}

TEST_P(GroupBounds, RefuseWhatMakesNoSense) {
  const auto why = [this](read_group step) { return refusal_of(std::move(step)); };
  EXPECT_EQ(why({.group = {.stream = flow, .group = "a b"}, .consumer = "a"}), "invalid_name");
  EXPECT_EQ(why({.group = {.stream = {.name = ""}, .group = "g"}, .consumer = "a"}), "invalid_key");
  EXPECT_EQ(why({.group = mailers, .consumer = ""}), "invalid_value");
  EXPECT_EQ(why({.group = mailers, .consumer = "a", .max = 0}), "invalid_value");
  EXPECT_EQ(why({.group = mailers, .consumer = "a", .lease = 0s}), "invalid_value");
  const auto not_settled = [this](offsets which) {
    return refusal_of(
        settle_deliveries{.group = mailers, .consumer = "a", .offsets = std::move(which)});
  };
  EXPECT_EQ(not_settled({}), "invalid_value");
  EXPECT_EQ(not_settled({0}), "invalid_value");
  EXPECT_EQ(not_settled({1, 1}), "invalid_value");
}

}  // namespace
}  // namespace millrace::conformance
