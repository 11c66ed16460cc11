#include "describe.hpp"
#include "fixture.hpp"

#include <millrace/engine_model/model_store.hpp>

#include <random>

/// Random steps on few streams, locks and so on, on the engine and on the model side by side.
namespace millrace::conformance {
namespace {

class LiveTwins : public engine_test {
protected:
  LiveTwins()
      : model_({.clock = &clock()}), start_(now()), of_model_(start_), under_test_(start_) {}

  std::size_t die(std::size_t among) {
    return std::uniform_int_distribution<std::size_t>(0, among - 1)(random_);
  }
  std::string name(std::size_t among) {
    return std::string(1, static_cast<char>('a' + die(among)));
  }
  duration span() {
    const std::array<duration, 7> spans{1us, 1s, 10s, 60s, 1h, 25h, 24h * 4};
    return spans.at(die(spans.size()));
  }

  step event_step() {
    const stream_key stream{.name = name(2)};
    if (die(8) == 0) {
      const std::array<duration, 3> ages{60s, 1h, 24h * 7};
      return configure_stream{
          .stream = stream,
          .retention = {.count = 1 + die(5), .age = ages.at(die(3)), .bytes = 20 + 20 * die(3)}};
    }
    return publish_event{.stream = stream,
                         .what = {.type = name(3),
                                  .payload = std::to_string(die(1000)),
                                  .source = die(2) == 0 ? "" : "s",
                                  .correlation_id = die(2) == 0 ? "" : "c",
                                  .id = die(3) == 0 ? name(5) : ""}};
  }
  step lock_step() {
    const lock_key key{.resource = name(2)};
    switch (die(5)) {
      case 0: return extend_lock{.key = key, .token = name(4), .ttl = die(2) == 0 ? 0s : 5s};
      case 1: return release_lock{.key = key, .token = name(4)};
      case 2:
        return acquire_lock{
            .key = key, .token = name(4), .ttl = die(2) == 0 ? 1s : 30s, .owner = name(3)};
      default:
        return acquire_lock{.key = key,
                            .token = name(4),
                            .ttl = die(2) == 0 ? 1s : 30s,
                            .owner = name(3),
                            .mode = die(3) == 0 ? lock_mode::exclusive : lock_mode::shared,
                            .queue = die(3) == 0 ? 0s : 5s};
    }
  }
  step some_lock_step() {
    step out = lock_step();
    auto* const acquire = std::get_if<acquire_lock>(&out);
    if (acquire != nullptr && acquire->mode == lock_mode::shared) {
      acquire->permits = static_cast<std::uint32_t>(die(3));
    }
    return out;
  }
  step group_step() {
    const group_key group{.stream = {.name = name(2)}, .group = name(2)};
    const std::string consumer = name(2);
    const group_start start{.at = die(2) == 0 ? group_start::place::earliest
                                              : group_start::place::latest};
    switch (die(8)) {
      case 0: return put_group{.group = group, .start = start, .move = die(3) == 0};
      case 1: return delete_group{group};
      case 2:
      case 3:
      case 4: {
        settle_deliveries out{.group = group,
                              .consumer = consumer,
                              .offsets = {1 + die(8)},
                              .what = static_cast<settle_deliveries::verdict>(die(3)),
                              .lease = 30s,
                              .all = die(2) == 0};
        if (die(2) == 0) out.offsets.push_back(out.offsets.front() + 1);
        return out;
      }
      default:
        return read_group{.group = group,
                          .consumer = consumer,
                          .max = static_cast<std::uint32_t>(1 + die(3)),
                          .lease = die(2) == 0 ? 1s : 60s,
                          .start = start};
    }
  }
  step progress_step() {
    const std::string id = name(2);
    if (die(10) == 0) return delete_progress{.correlation_id = id};
    put_progress step{.correlation_id = id, .ttl = die(2) == 0 ? 60s : 1h};
    if (die(5) == 0) step.total_steps = static_cast<std::uint32_t>(1 + die(5));
    if (die(2) == 0) step.step = static_cast<std::uint32_t>(die(6));
    if (die(2) == 0) step.message = name(5);
    if (die(6) == 0) step.status = static_cast<progress_status>(die(3));
    return step;
  }
  step flow_step() {
    switch (die(4)) {
      case 0: return drop_connection{.connection = name(3)};
      case 1:
        return put_connection{.what = {.id = name(3), .flow_id = name(2), .user = name(2)},
                              .ttl = die(2) == 0 ? 10s : 300s};
      default:
        return put_agent{.flow_id = name(2),
                         .what = {.agent = name(3),
                                  .progress = static_cast<double>(die(5)) / 4,
                                  .status = name(3),
                                  .details = std::to_string(die(100))},
                         .ttl = die(2) == 0 ? 10s : 1h};
    }
  }
  step any_step() {
    const std::size_t kind = die(14);
    if (kind < 4) return event_step();
    if (kind < 8) return some_lock_step();
    if (kind < 10) return group_step();
    return kind < 12 ? progress_step() : flow_step();
  }

  void commit_both() {
    transaction one;
    const std::size_t steps = die(4) == 0 ? 1 + die(4) : 1;
    for (std::size_t i = 0; i < steps; ++i) one.steps.push_back(any_step());
    if (die(6) == 0) {
      one.idempotency = {
          .project = "default", .route = "r", .key = name(4), .fingerprint = 1 + die(2)};
    }
    const auto expected = engine::blocking::commit(model_, one);
    const auto got = commit(one);
    ASSERT_EQ(of_model_.text(expected), under_test_.text(got));
    if (!got) return;
    for (std::size_t i = 0; i < got->outcomes.size(); ++i) {
      const auto* const there = std::get_if<event_published>(&got->outcomes[i]);
      if (there == nullptr) continue;
      places_.push_back({std::get<event_published>(expected->outcomes[i]).place, there->place});
    }
  }

  void ask_both(const query& of_model, const query& under_test) {
    const auto expected = engine::blocking::ask_any(model_, of_model);
    const auto got = engine::blocking::ask_any(store(), under_test);
    ASSERT_EQ(of_model_.text(expected), under_test_.text(got));
  }
  void ask_both(const query& what) { ask_both(what, what); }

  void read_both() {
    read_events what{.stream = {.name = name(2)},
                     .way = static_cast<read_events::order>(die(2)),
                     .limit = static_cast<std::uint32_t>(1 + die(4))};
    read_events same = what;
    if (die(4) == 0) {
      same.at = what.at = now() - span();
    } else if (die(3) > 0 && !places_.empty()) {
      const auto& place =
          places_.at(places_.size() - 1 - die(std::min<std::size_t>(places_.size(), 8)));
      what.from = place.first;
      same.from = place.second;
      if (die(8) == 0) same.from->offset = what.from->offset += die(4);
    }
    ask_both(what, same);
  }

  void compare_all() {
    for (const char* each : {"a", "b"}) {
      ask_both(find_stream{{.name = each}});
      ask_both(read_events{.stream = {.name = each}});
      ask_both(read_events{.stream = {.name = each}, .way = read_events::order::newest_first});
      ask_both(find_lock{{.resource = each}});
      ask_both(list_lock_holders{{.resource = each}});
      ask_both(list_groups{{.name = each}});
      for (const char* group : {"a", "b"}) {
        ask_both(list_pending{.group = {.stream = {.name = each}, .group = group}});
      }
      ask_both(find_progress{.correlation_id = each});
      ask_both(list_agents{.flow_id = each});
      ask_both(list_connections{.flow_id = each});
    }
    ask_both(list_connections{});
    ask_both(list_correlated{.correlation_id = "c"});
  }

  model::model_store model_;
  timestamp start_;
  describer of_model_;
  describer under_test_;
  std::mt19937_64 random_;
  std::vector<std::pair<event_cursor, event_cursor>> places_;
};
INSTANTIATE_TEST_SUITE_P(Engine, LiveTwins, testing::ValuesIn(engines_under_test()), case_name);

TEST_P(LiveTwins, BehaveAsOnTheModel) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    random_.seed(seed);
    for (int i = 0; i < 200 && !HasFatalFailure(); ++i) {
      SCOPED_TRACE("operation " + std::to_string(i));
      const std::size_t what = die(10);
      if (what < 7) {
        commit_both();
      } else if (what < 9) {
        read_both();
      } else {
        advance(span());
        settle();
        // What is due happens there too.
        ASSERT_TRUE(engine::blocking::ask(model_, read_clock{}));
      }
    }
    if (HasFatalFailure()) return;
    compare_all();
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace millrace::conformance
