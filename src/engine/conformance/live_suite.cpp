#include "fixture.hpp"

#include <millrace/base/testing.hpp>
#include <millrace/engine/limits.hpp>

namespace millrace::conformance {
namespace {

class live_test : public engine_test {
protected:
  [[nodiscard]] wakeups::listener listen(topic to) {
    return store().hints().listen({std::move(to)});
  }
  progress_entry start(std::uint32_t total) {
    return run(put_progress{.correlation_id = "c", .total_steps = total}).entry;
  }
  progress_entry step_to(std::uint32_t step, std::optional<std::string> message = {}) {
    return run(put_progress{.correlation_id = "c", .step = step, .message = std::move(message)})
        .entry;
  }
};

#define MILLRACE_LIVE_SUITE(suite)   \
  class suite : public live_test {}; \
  INSTANTIATE_TEST_SUITE_P(Engine, suite, testing::ValuesIn(engines_under_test()), case_name)

MILLRACE_LIVE_SUITE(ProgressOf);

TEST_P(ProgressOf, ARequestStartsMovesAndEnds) {
  const timestamp begin = now();
  EXPECT_FALSE(ask(find_progress{.correlation_id = "c"}));
  const auto started = start(3);
  EXPECT_EQ(started.status, progress_status::running);
  EXPECT_EQ(started.current_step, 0U);
  EXPECT_EQ(started.expires_at, begin + 1h);
  advance(10s);
  const auto second = step_to(2, "halfway");
  EXPECT_GT(second.version, started.version);
  EXPECT_EQ(second.current_step, 2U);
  EXPECT_EQ(second.started_at, begin);
  EXPECT_EQ(second.updated_at, now());
  ASSERT_EQ(second.marks.size(), 1U);
  EXPECT_EQ(second.marks.front(), (progress_mark{2, now(), "halfway"}));
  const auto ended =
      run(put_progress{.correlation_id = "c", .status = progress_status::completed}).entry;
  EXPECT_EQ(ended.current_step, 3U);
  EXPECT_EQ(ended.message, "halfway");
  EXPECT_EQ(ended.marks.size(), 2U);
  EXPECT_EQ(refusal_of(put_progress{.correlation_id = "c", .step = 1}), "progress_ended");
  const auto found = ask(find_progress{.correlation_id = "c"});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->version, ended.version);
  const auto anew = start(5);
  EXPECT_EQ(anew.current_step, 0U);
  EXPECT_EQ(anew.message, "");
  EXPECT_TRUE(anew.marks.empty());
}

TEST_P(ProgressOf, NothingIsNotFound) {
  EXPECT_EQ(refusal_of(put_progress{.correlation_id = "c", .step = 1}), "progress_not_found");
  EXPECT_EQ(refusal_of(delete_progress{.correlation_id = "c"}), "progress_not_found");
}

TEST_P(ProgressOf, MoreThanThereIsIsRefused) {
  start(3);
  EXPECT_EQ(refusal_of(put_progress{.correlation_id = "c", .step = 4}), "step_beyond_total");
  EXPECT_EQ(refusal_of(put_progress{.correlation_id = "d", .total_steps = 1, .step = 2}),
            "step_beyond_total");
  EXPECT_EQ(refusal_of(put_progress{.correlation_id = "c", .total_steps = 0}), "invalid_value");
  EXPECT_EQ(refusal_of(put_progress{.correlation_id = "c", .step = 1, .ttl = 0s}), "invalid_value");
}

TEST_P(ProgressOf, ManyStepsKeepsTheLatest) {
  start(1000);
  for (std::uint32_t step = 1; step <= progress_marks_max + 5; ++step) step_to(step);
  const auto found = ask(find_progress{.correlation_id = "c"});
  ASSERT_TRUE(found);
  ASSERT_EQ(found->marks.size(), progress_marks_max);
  EXPECT_EQ(found->marks.front().step, 6U);
}

TEST_P(ProgressOf, ARequestIsForgottenAfterAWhile) {
  run(put_progress{.correlation_id = "c", .total_steps = 3, .ttl = 10s});
  advance(9s);
  run(put_progress{.correlation_id = "c", .step = 1, .ttl = 10s});
  advance(9s);
  EXPECT_TRUE(ask(find_progress{.correlation_id = "c"}));
  advance(1s);
  EXPECT_FALSE(ask(find_progress{.correlation_id = "c"}));
  EXPECT_EQ(refusal_of(put_progress{.correlation_id = "c", .step = 2}), "progress_not_found");
}

TEST_P(ProgressOf, ARequestIsDeleted) {
  start(3);
  EXPECT_EQ(run(delete_progress{.correlation_id = "c"}).entry.total_steps, 3U);
  EXPECT_FALSE(ask(find_progress{.correlation_id = "c"}));
}

TEST_P(ProgressOf, ARequestIsHeardOf) {
  auto listener = listen(progress_topic("default", "c"));
  start(3);
  EXPECT_TRUE(run_coro(listener.wait(10s)));
  step_to(1);
  EXPECT_TRUE(run_coro(listener.wait(10s)));
  run(delete_progress{.correlation_id = "c"});
  EXPECT_TRUE(run_coro(listener.wait(10s)));
  listener.consume();
}

MILLRACE_LIVE_SUITE(AgentsOf);

TEST_P(AgentsOf, AFlowAreListedByName) {
  run(put_agent{
      .flow_id = "f",
      .what = {.agent = "b", .progress = 0.25, .status = "reads", .details = R"({"n": 1.0})"}});
  advance(1s);
  run(put_agent{.flow_id = "f", .what = {.agent = "a", .progress = 1}});
  run(put_agent{.flow_id = "g", .what = {.agent = "c"}});
  const auto agents = ask(list_agents{.flow_id = "f"});
  ASSERT_EQ(agents.size(), 2U);
  EXPECT_EQ(agents[0].agent, "a");
  EXPECT_EQ(agents[0].updated_at, now());
  EXPECT_EQ(agents[1].agent, "b");
  EXPECT_EQ(agents[1].progress, 0.25);
  EXPECT_EQ(agents[1].status, "reads");
  EXPECT_EQ(agents[1].details, R"({"n": 1.0})");
  EXPECT_GT(agents[0].version, agents[1].version);
}

TEST_P(AgentsOf, AFlowAreReplacedAndForgotten) {
  run(put_agent{.flow_id = "f", .what = {.agent = "a", .status = "x"}, .ttl = 10s});
  run(put_agent{.flow_id = "f", .what = {.agent = "b"}, .ttl = 20s});
  run(put_agent{.flow_id = "f", .what = {.agent = "a", .status = "y"}, .ttl = 10s});
  ASSERT_EQ(ask(list_agents{.flow_id = "f"}).size(), 2U);
  EXPECT_EQ(ask(list_agents{.flow_id = "f"}).front().status, "y");
  advance(10s);
  ASSERT_EQ(ask(list_agents{.flow_id = "f"}).size(), 1U);
  EXPECT_EQ(ask(list_agents{.flow_id = "f"}).front().agent, "b");
}

TEST_P(AgentsOf, AFlowAreBounded) {
  transaction many;
  for (std::size_t i = 0; i < agents_max; ++i) {
    many.steps.emplace_back(put_agent{.flow_id = "f", .what = {.agent = std::to_string(i)}});
  }
  ASSERT_TRUE(commit(std::move(many)));
  EXPECT_EQ(refusal_of(put_agent{.flow_id = "f", .what = {.agent = "x"}}), "too_many_agents");
  EXPECT_EQ(refusal_of(put_agent{.flow_id = "f", .what = {.agent = "1"}}), "done");
  EXPECT_EQ(refusal_of(put_agent{.flow_id = "g", .what = {.agent = "x"}}), "done");
}

TEST_P(AgentsOf, AFlowAreHeardOf) {
  auto listener = listen(flow_topic("default", "f"));
  run(put_agent{.flow_id = "f", .what = {.agent = "a"}});
  EXPECT_TRUE(run_coro(listener.wait(10s)));
  listener.consume();
}

TEST_P(AgentsOf, NoFlowAreRefused) {
  const auto why = [this](agent_progress what) {
    return refusal_of(put_agent{.flow_id = "f", .what = std::move(what)});
  };
  EXPECT_EQ(why({.agent = "a", .progress = 1.5}), "invalid_value");
  EXPECT_EQ(why({.agent = "", .progress = 1}), "invalid_key");
  EXPECT_EQ(why({.agent = "a", .details = "{"}), "malformed_json");
  EXPECT_EQ(why({.agent = "a", .details = '"' + std::string(agent_details_bytes_max, 'x') + '"'}),
            "value_too_large");
}

MILLRACE_LIVE_SUITE(Connections);

TEST_P(Connections, AreKeptByTheirSignsOfLife) {
  const timestamp begin = now();
  run(put_connection{.what = {.id = "1", .flow_id = "f", .user = "u", .server = "s"}, .ttl = 300s});
  advance(200s);
  run(put_connection{.what = {.id = "1", .flow_id = "f", .user = "v", .server = "s"}, .ttl = 300s});
  run(put_connection{.what = {.id = "2", .flow_id = "g"}, .ttl = 100s});
  advance(100s);
  const auto page = ask(list_connections{});
  ASSERT_EQ(page.items.size(), 1U);
  EXPECT_EQ(page.items[0].id, "1");
  EXPECT_EQ(page.items[0].user, "v");
  EXPECT_EQ(page.items[0].connected_at, begin);
  EXPECT_EQ(page.items[0].seen_at, begin + 200s);
  EXPECT_EQ(run(drop_connection{.connection = "1"}).what.user, "v");
  EXPECT_EQ(refusal_of(drop_connection{.connection = "1"}), "connection_not_found");
  EXPECT_TRUE(ask(list_connections{}).items.empty());
}

TEST_P(Connections, AreListedByFlowAndUser) {
  for (int i = 0; i < 6; ++i) {
    run(put_connection{.what = {.id = std::to_string(i),
                                .flow_id = i % 2 == 0 ? "f" : "g",
                                .user = i % 3 == 0 ? "u" : ""}});
  }
  const auto ids = [this](list_connections what) {
    std::vector<std::string> out;
    do {
      const auto page = ask(what);
      for (const live_connection& each : page.items) out.push_back(each.id);
      what.cursor = page.cursor;
    } while (!what.cursor.empty());
    return out;
  };
  using texts = std::vector<std::string>;
  EXPECT_EQ(ids({.limit = 2}), (texts{"0", "1", "2", "3", "4", "5"}));
  EXPECT_EQ(ids({.flow_id = "f", .limit = 2}), (texts{"0", "2", "4"}));
  EXPECT_EQ(ids({.user = "u", .limit = 1}), (texts{"0", "3"}));
  EXPECT_EQ(ids({.flow_id = "f", .user = "u"}), texts{"0"});
  EXPECT_EQ(ids({.flow_id = "x"}), texts{});
  EXPECT_EQ(ids({.project = "p"}), texts{});
}

}  // namespace
}  // namespace millrace::conformance
