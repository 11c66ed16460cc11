#include "sse_hub.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

// How a feed reads: the only reader of what it follows, for all who follow it.
namespace millrace::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
/// A hint may be lost: then the next look finds what came.
constexpr std::chrono::seconds look_every{15};
/// While the store cannot serve.
constexpr milliseconds look_again{250};

}  // namespace

// borrows: awaited in place
awaitable<batch_ptr> sse_hub::read(sse_feed& feed, stream_place from) {
  shared_->numbers.reads.fetch_add(1, std::memory_order_relaxed);
  batch_ptr got = co_await feed.source.read(from, feed.limit);
  if (!got) co_return got;
  // Large events: the next look does not read what it cannot send.
  const bool full = got->bytes.size() >= batch_bytes_max;
  const auto count = static_cast<std::uint32_t>(std::max<std::size_t>(got->entries.size(), 1));
  feed.limit = full ? count : std::min(events_at_once, feed.limit * 2);
  co_return got;
}

// Hands a batch to every lane that has a reader, and waits until they are through.
awaitable<void> sse_hub::broadcast(feed_ptr feed, batch_ptr what) {
  std::size_t lanes = 0;
  for (const std::uint32_t users : feed->users) lanes += users != 0 ? 1 : 0;
  if (lanes == 0) co_return;
  const auto round = std::make_shared<sse_round>(strand_, lanes);
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    if (feed->users[i] == 0) continue;
    asio::post(lanes_[i]->strand(),
               [lane = lanes_[i], feed, what, round] { lane->deliver(feed, what, round); });
  }
  // It ends soon, and nobody may believe that it has before.
  (void)co_await round->done.async_wait(
      asio::bind_cancellation_slot(asio::cancellation_slot{}, as_result));
}

// What came behind the place up to which everybody was told; true where there is more.
// borrows: awaited in place
awaitable<bool> sse_hub::tell_news(const feed_ptr& feed, bool& failed) {
  if (!feed->live) co_return false;
  const batch_ptr got = co_await read(*feed, *feed->live);
  failed = got == nullptr;
  if (failed || (got->empty() && got->end == *feed->live)) co_return false;
  feed->live = got->end;
  // Whoever comes after the end has to hear of it too.
  if (got->ended) feed->live.reset();
  co_await broadcast(feed, got);
  co_return got->more;
}

// One look for some of those who are behind; true where there is more to do.
// borrows: awaited in place
awaitable<bool> sse_hub::help_one(const feed_ptr& feed, bool& failed) {
  if (feed->behind.empty()) co_return false;
  // In turns: who begins far back must not hold up the others.
  auto next = feed->behind.upper_bound(feed->served);
  if (next == feed->behind.end()) next = feed->behind.begin();
  const stream_place from = next->first;
  const batch_ptr got = co_await read(*feed, from);
  failed = got == nullptr;
  if (failed) co_return false;
  feed->served = from;
  answer(feed, got);
  if (!got->more && !got->ended && !feed->live) {
    // This is the end of what there is: from here on all hear the same.
    feed->live = got->end;
    co_await broadcast(feed, std::make_shared<event_batch>(got->end));
  }
  co_return !feed->behind.empty() || got->end != feed->live;
}

void sse_hub::answer(const feed_ptr& feed, const batch_ptr& what) {
  for (auto it = feed->behind.begin(); it != feed->behind.end();) {
    // Only who is taken on by it: others stand where the next look begins.
    const bool helps =
        it->first == what->from || what->entry_from(it->first) < what->entries.size();
    if (!helps) {
      ++it;
      continue;
    }
    for (sse_feed::request& each : it->second) {
      const sse_strand& strand = each.who->lane().strand();
      asio::post(strand,
                 [who = std::move(each.who), slot = each.slot, what] { who->take(slot, what); });
    }
    it = feed->behind.erase(it);
  }
}

void sse_hub::forget_gone(sse_feed& feed) {
  for (auto& [place, requests] : feed.behind) {
    std::erase_if(requests, [](const sse_feed::request& each) { return each.who->gone(); });
  }
  std::erase_if(feed.behind, [](const auto& each) { return each.second.empty(); });
}

awaitable<void> sse_hub::follow(std::shared_ptr<sse_hub> self, feed_ptr feed) {
  auto listener = self->store_.hints().listen({feed->source.topic});
  asio::steady_timer pause(self->strand_);
  while (!feed->retired) {
    bool failed = false;
    bool again = co_await self->tell_news(feed, failed);
    if (!failed) {
      const bool helped = co_await self->help_one(feed, failed);
      again = again || helped;
    }
    if (again && !failed) continue;
    if (failed) forget_gone(*feed);
    const auto looked_at = steady_clock::now();
    (void)co_await listener.wait(failed ? steady_clock::duration{look_again}
                                        : steady_clock::duration{look_every});
    // Whoever joins is not kept waiting; what changes fast is told together.
    const auto next_look = looked_at + feed->source.pace;
    if (!feed->behind.empty() || feed->retired || next_look <= steady_clock::now()) continue;
    pause.expires_at(next_look);
    (void)co_await pause.async_wait(as_result);
  }
}

}  // namespace millrace::http
