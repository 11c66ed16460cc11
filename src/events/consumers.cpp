#include <millrace/events/consumers.hpp>

#include <millrace/engine/async.hpp>
#include <millrace/engine/checks.hpp>

#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace millrace {
namespace {

using engine::group_read;
using steady = std::chrono::steady_clock;

/// The longest a waiter sleeps without a look, should a hint be lost.
constexpr std::chrono::seconds safety_tick{10};
/// How long after the end of a lease a waiter looks for what it gives back.
constexpr std::chrono::milliseconds behind_the_end{5};

// Nobody waits for the answer: what cannot be given back comes again when its lease ends.
void give_back(engine::store& store, const engine::read_group& step, const group_read& got) {
  if (got.events.empty()) return;
  engine::settle_deliveries back{.group = step.group,
                                 .consumer = step.consumer,
                                 .offsets = {},
                                 .what = engine::settle_deliveries::verdict::again};
  for (const engine::group_delivery& each : got.events) back.offsets.push_back(each.what.offset);
  std::vector<engine::transaction> batch(1);
  batch.front().steps.emplace_back(std::move(back));
  store.submit(std::move(batch), [](std::vector<engine::commit_result>) {});
}

result<void> check_read(const engine::read_group& step, duration wait) {
  if (wait < duration{0} || wait > read_wait_max) {
    return invalid("wait", fmt::format("wait must be 0 to {} seconds.", read_wait_max.count()));
  }
  return engine::check_step(step);
}

bool is_something(const group_read& got) {
  return !got.events.empty() || got.gap != engine::gap_reason::none;
}

}  // namespace

awaitable<result<group_read>> consumers::read(engine::read_group step, duration wait) {
  if (auto ok = check_read(step, wait); !ok) co_return std::unexpected(std::move(ok.error()));
  const auto cancelled = [](asio::cancellation_state state) {
    return state.cancelled() != asio::cancellation_type::none;
  };
  const auto deadline = steady::now() + wait;
  const engine::stream_key& stream = step.group.stream;
  // Before the first look, so that no hint falls between a look and the wait.
  auto listener = store_.hints().listen({engine::stream_topic(stream.project, stream.name)});
  // Whoever is cancelled may not await again, so the state is asked for after every suspension.
  while (true) {
    auto got = co_await engine::commit_step<group_read>(store_, step);
    if (cancelled(co_await asio::this_coro::cancellation_state)) {
      if (got) give_back(store_, step, *got);
      break;
    }
    if (!got) co_return std::unexpected(std::move(got.error()));
    const auto left = std::max(deadline - steady::now(), steady::duration::zero());
    if (is_something(*got) || left == steady::duration::zero()) co_return std::move(*got);
    auto sleep = std::min<steady::duration>(left, safety_tick);
    if (got->next_end) {
      const duration until_end = std::max(duration{0}, *got->next_end - got->now);
      sleep = std::min<steady::duration>(sleep, until_end + behind_the_end);
    }
    try {
      (void)co_await listener.wait(sleep);
    } catch (const boost::system::system_error&) {
      // A wait throws only when it is cancelled.
      break;
    }
    if (cancelled(co_await asio::this_coro::cancellation_state)) break;
  }
  co_return fail(errc::cancelled, "read_cancelled", "The wait for events was cancelled.");
}

awaitable<result<engine::deliveries_settled>> consumers::settle(engine::settle_deliveries step) {
  co_return co_await engine::commit_step<engine::deliveries_settled>(store_, std::move(step));
}

awaitable<result<engine::group_start>> consumers::start_at(engine::stream_key stream,
                                                           timestamp time) {
  // Behind the last event before it.
  engine::read_events before{.stream = std::move(stream),
                             .way = engine::read_events::order::newest_first,
                             .at = time - duration{1},
                             .limit = 1};
  const auto page = co_await engine::ask(store_, std::move(before));
  if (!page) co_return std::unexpected(page.error());
  if (page->events.empty()) co_return engine::group_start{};
  co_return engine::group_start{.at = engine::group_start::place::cursor, .cursor = page->end};
}

}  // namespace millrace
