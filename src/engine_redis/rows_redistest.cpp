#include "testing_redis.hpp"

#include <millrace/base/clock.hpp>
#include <millrace/base/testing.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/engine_redis/redis_store.hpp>

#include <boost/asio/this_coro.hpp>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

// Transactions that arrive together are done in rows, where the script can; what comes of them is
// the same as if each had come alone. Two stores get the same work, one in batches, one piece by
// piece.
namespace millrace::engine_redis {
namespace {

using namespace std::chrono_literals;
using namespace engine;
using redis::testing::redis_server;

const std::array<queue_key, 2> queues{queue_key{.name = "plain"}, queue_key{.name = "other"}};

redis::address address_of(const redis_server& server) {
  redis::address out;
  out.over = redis::address::transport::unix_socket;
  out.path = server.socket();
  return out;
}

awaitable<void> send(redis::address to, std::vector<std::string> words) {
  redis::connection_options how;
  how.where = std::move(to);
  how.use = redis::connection_use::dedicated;
  redis::connection link(co_await asio::this_coro::executor, std::move(how));
  redis::command what(words.front());
  for (std::size_t i = 1; i < words.size(); ++i) what.arg(words[i]);
  static_cast<void>(co_await link.call(std::move(what)));
  co_await link.stop();
}

std::string at(const std::optional<timestamp>& time) {
  return time ? std::to_string(to_micros(*time)) : "-";
}

/// Without what hangs on how many stamps there were before: ids, tokens, versions.
std::string describe(const job& of) {
  return fmt::format("{} {} {}/{} p{} s{} a{} w'{}' from {} to {} ended {} run {} c{} r{} e{}",
                     of.queue.name, of.spec.type, of.spec.data, of.spec.max_attempts,
                     of.spec.priority, static_cast<int>(of.status), of.attempts, of.worker,
                     at(of.started_at), at(of.leased_until), at(of.finished_at),
                     to_micros(of.run_at), of.cancel_requested, of.result, of.error);
}

std::string describe(const outcome& of) {
  if (const auto* const made = std::get_if<job_enqueued>(&of)) {
    return fmt::format("made {} {}{}", describe(made->made), made->duplicate, made->replaced);
  }
  if (const auto* const leased = std::get_if<jobs_leased>(&of)) {
    std::string out = "leased";
    for (const leased_job& each : leased->jobs) {
      EXPECT_EQ(each.token, each.what.token);
      EXPECT_EQ(each.leased_until, each.what.leased_until);
      out += fmt::format(" [{}]", describe(each.what));
    }
    return out;
  }
  if (const auto* const changed = std::get_if<job_changed>(&of)) {
    return fmt::format("changed s{} a{} run {} c{}", static_cast<int>(changed->status),
                       changed->attempts, to_micros(changed->run_at), changed->cancel_requested);
  }
  if (const auto* const extended = std::get_if<lease_extended>(&of)) {
    return fmt::format("until {} c{}", to_micros(extended->leased_until),
                       extended->cancel_requested);
  }
  if (const auto* const purged = std::get_if<jobs_purged>(&of)) {
    return fmt::format("purged {}", purged->count);
  }
  return fmt::format("outcome {}", of.index());
}

std::string describe(const commit_result& of) {
  if (!of) return fmt::format("refused {} at {}", of.error().why.code, of.error().step_index);
  std::string out;
  for (const outcome& each : of->outcomes) out += describe(each) + "; ";
  return out;
}

/// A store, and by what names it knows the jobs: each has its number as its type.
struct side {
  std::unique_ptr<redis_store> store;
  bool in_batches{false};
  std::map<std::string, job_id> ids{};
  std::map<std::string, std::uint64_t> tokens{};
  /// Jobs that were leased of late.
  std::vector<std::string> begun{};

  void note(const commit_result& done) {
    if (!done) return;
    for (const outcome& each : done->outcomes) {
      if (const auto* const made = std::get_if<job_enqueued>(&each)) {
        ids[made->made.spec.type] = made->made.id;
      } else if (const auto* const leased = std::get_if<jobs_leased>(&each)) {
        for (const leased_job& one : leased->jobs) {
          tokens[one.what.spec.type] = one.token;
          begun.push_back(one.what.spec.type);
        }
      }
    }
  }

  std::vector<std::string> run(std::vector<transaction> batch) {
    std::vector<commit_result> done;
    if (in_batches) {
      done = blocking::commit_each(*store, std::move(batch));
    } else {
      for (transaction& each : batch) done.push_back(blocking::commit(*store, std::move(each)));
    }
    std::vector<std::string> out;
    for (const commit_result& each : done) {
      note(each);
      out.push_back(describe(each));
    }
    return out;
  }

  std::vector<std::string> everything() {
    std::vector<std::string> out;
    for (const queue_key& queue : queues) {
      const auto info = blocking::ask(*store, find_queue{queue});
      if (!info || !*info) continue;
      out.push_back(fmt::format("{} waiting {} running {} completed {} cancelled {} dead {}",
                                queue.name, (*info)->waiting, (*info)->running, (*info)->completed,
                                (*info)->cancelled, (*info)->dead));
      const auto listed = blocking::ask(*store, list_jobs{.queue = queue, .limit = 200});
      if (!listed) continue;
      for (const job& each : listed->items) out.push_back(describe(each));
    }
    return out;
  }
};

/// A transaction that is told to each side in its own ids and tokens.
using work = std::function<transaction(side&)>;

transaction of(std::vector<step> steps) {
  transaction out;
  out.steps = std::move(steps);
  return out;
}

class work_source final {
public:
  explicit work_source(unsigned seed) : random_(seed) {}

  std::vector<work> next_batch() {
    std::vector<work> out;
    const int count = number(1, 25);
    // Often many of one kind, as they come from many callers.
    int kind = number(0, 99);
    while (static_cast<int>(out.size()) < count) {
      if (number(0, 3) == 0) kind = number(0, 99);
      out.push_back(next(kind));
    }
    return out;
  }

  void note_runs(std::vector<std::string> begun) {
    for (std::string& each : begun) running_.push_back(std::move(each));
  }

  int number(int low, int high) { return std::uniform_int_distribution(low, high)(random_); }

private:
  work next(int kind) {
    if (kind < 35) return enqueue();
    if (kind < 70) return ack_and_lease();
    if (kind < 80) return lease();
    if (kind < 85) return acks_and_lease();
    return kind < 95 ? change_run() : change_queue();
  }

  const queue_key& any_queue() { return queues.at(number(0, 4) == 0 ? 1 : 0); }
  std::string any_job() { return std::to_string(number(0, made_)); }
  /// Mostly one that runs.
  std::string any_run() {
    if (running_.empty() || number(0, 9) == 0) return any_job();
    const auto which = static_cast<std::size_t>(number(0, static_cast<int>(running_.size()) - 1));
    std::swap(running_.at(which), running_.back());
    std::string out = std::move(running_.back());
    running_.pop_back();
    return out;
  }

  work enqueue() {
    enqueue_job step{.queue = any_queue(), .default_attempts = number(0, 1) == 0};
    step.spec.type = std::to_string(++made_);
    step.spec.data =
        fmt::format("\"{}\"", std::string(static_cast<std::size_t>(number(0, 40)), 'x'));
    step.spec.max_attempts = 2;
    if (number(0, 7) == 0) step.spec.priority = static_cast<std::uint8_t>(number(0, 9));
    if (number(0, 11) == 0) step.spec.unique = unique_spec{.key = std::to_string(number(0, 5))};
    if (number(0, 11) == 0) step.spec.group = "g";
    if (number(0, 9) == 0) step.spec.timeout = 3s;
    std::vector<enqueue_job> steps{step};
    if (number(0, 9) == 0) {
      enqueue_job more = step;
      more.spec.type = std::to_string(++made_);
      more.spec.unique.reset();
      steps.push_back(more);
    }
    return [steps](side&) { return of({steps.begin(), steps.end()}); };
  }

  lease_jobs lease_step(std::uint32_t most) {
    return {.queues = {any_queue()},
            .max = most,
            .lease = number(0, 3) == 0 ? duration{2s} : duration{5s},
            .worker = number(0, 1) == 0 ? "" : "w" + std::to_string(number(1, 2))};
  }

  work lease() {
    const lease_jobs step = lease_step(static_cast<std::uint32_t>(number(1, 4)));
    return [step](side&) { return of({step}); };
  }

  std::function<ack_job(side&)> ack() {
    const std::string which = any_run();
    const std::string result = number(0, 4) == 0 ? std::string("\"" + std::string(600, 'r') + "\"")
                                                 : std::to_string(number(0, 2));
    const std::uint64_t off = number(0, 19) == 0 ? 1 : 0;
    return [which, result, off](side& on) {
      return ack_job{.id = on.ids[which], .token = on.tokens[which] + off, .result = result};
    };
  }

  work ack_and_lease() {
    return [ack = ack(), step = lease_step(1)](side& on) { return of({ack(on), step}); };
  }

  work acks_and_lease() {
    return [one = ack(), two = ack(), step = lease_step(2)](side& on) {
      return of({one(on), two(on), step});
    };
  }

  work change_run() {
    const std::string which = number(0, 2) == 0 ? any_job() : any_run();
    switch (number(0, 5)) {
      case 0:
        return [which](side& on) {
          return of({fail_job{.id = on.ids[which],
                              .token = on.tokens[which],
                              .error = "no",
                              .retry_in = duration{1s}}});
        };
      case 1:
        return [which](side& on) {
          return of({extend_lease{.id = on.ids[which], .token = on.tokens[which], .lease = 9s}});
        };
      case 2: return [which](side& on) { return of({cancel_job{on.ids[which]}}); };
      case 3: return [which](side& on) { return of({delete_job{on.ids[which]}}); };
      case 4:
        return [which](side& on) {
          return of({report_progress{
              .id = on.ids[which], .token = on.tokens[which], .value = 0.5, .log = {"line"}}});
        };
      default:
        return [which](side& on) {
          return of({snooze_job{.id = on.ids[which], .token = on.tokens[which], .delay = 1s}});
        };
    }
  }

  work change_queue() {
    const queue_key queue = any_queue();
    if (number(0, 2) == 0) {
      const auto most = static_cast<std::uint32_t>(number(1, 4));
      return [queue, most](side&) {
        return of({purge_jobs{.queue = queue, .target = purge_target::finished, .max = most}});
      };
    }
    queue_settings settings;
    const std::array<std::uint64_t, 3> kept{3, 20, 2000};
    settings.keep_finished_count = kept.at(static_cast<std::size_t>(number(0, 2)));
    if (number(0, 2) == 0) settings.concurrency = static_cast<std::uint32_t>(number(1, 3));
    if (number(0, 2) == 0) settings.max_attempts = 3;
    if (number(0, 3) == 0) settings.depth_max = 30;
    return [queue, settings](side&) {
      return of({configure_queue{.queue = queue, .settings = settings}});
    };
  }

  std::mt19937 random_;
  int made_{0};
  std::vector<std::string> running_;
};

void expect_same(const std::vector<std::string>& some, const std::vector<std::string>& others) {
  EXPECT_EQ(some.size(), others.size());
  for (std::size_t i = 0; i < std::min(some.size(), others.size()); ++i) {
    EXPECT_EQ(some[i], others[i]) << i;
  }
}

class RedisRows : public testing::TestWithParam<unsigned> {};

TEST_P(RedisRows, ComeToTheSameAsTransactionsThatComeAlone) {
  const redis_server server;
  manual_clock clock;
  const auto open = [&](const std::string& prefix) {
    auto opened =
        redis_store::open({.where = address_of(server), .prefix = prefix, .clock = &clock});
    if (!opened) ADD_FAILURE() << opened.error().detail;
    return opened ? std::move(*opened) : nullptr;
  };
  side together{.store = open("together"), .in_batches = true};
  side apart{.store = open("apart")};
  ASSERT_TRUE(together.store && apart.store);
  work_source source(GetParam());
  constexpr int rounds = 60;
  for (int round = 0; round < rounds; ++round) {
    const std::vector<work> batch = source.next_batch();
    const auto told = [&](side& to) {
      std::vector<transaction> out;
      for (const work& each : batch) out.push_back(each(to));
      return to.run(std::move(out));
    };
    expect_same(told(together), told(apart));
    expect_same(together.everything(), apart.everything());
    ASSERT_FALSE(HasFailure()) << "round " << round;
    source.note_runs(std::exchange(apart.begun, {}));
    if (source.number(0, 2) == 0) clock.advance(source.number(0, 1) == 0 ? 7s : 700ms);
    // From time to time the script knows nothing any more.
    if (source.number(0, 4) == 0) run_coro(send(address_of(server), {"FUNCTION", "FLUSH"}));
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RedisRows, testing::Range(1U, 13U));

}  // namespace
}  // namespace millrace::engine_redis
