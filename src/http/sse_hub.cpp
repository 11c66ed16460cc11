#include "sse_hub.hpp"

#include <millrace/base/assert.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <thread>
#include <utility>

namespace millrace::http {
namespace {

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

// A sixteenth of the shortest interval, so that nothing is late by more.
std::chrono::milliseconds tick_of(const server_limits& limits) {
  using std::chrono::milliseconds;
  const milliseconds shortest = std::min(limits.comment_interval, limits.write_deadline);
  return std::clamp(shortest / 16, milliseconds{5}, milliseconds{1'000});
}

std::size_t lanes_wanted() {
  return std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, lanes_max);
}

}  // namespace

sse_hub::sse_hub(asio::io_context& context, engine::store& store, const server_limits& limits,
                 std::string server_id)
    : context_(context),
      store_(store),
      strand_(asio::make_strand(context)),
      shared_(std::make_shared<sse_shared>(limits)),
      tick_(tick_of(limits)),
      emptied_(strand_, asio::steady_timer::time_point::max()),
      presence_(store, std::move(server_id)),
      tasks_(strand_) {}

sse_hub::~sse_hub() { MILLRACE_ASSERT(open() == 0); }

void sse_hub::start() {
  const std::weak_ptr<sse_hub> weak = weak_from_this();
  const auto ask = [weak](std::shared_ptr<sse_subscriber> who, std::size_t slot) {
    const auto self = weak.lock();
    if (!self) return;
    feed_ptr feed = who->slots()[slot].feed;
    const stream_place from = who->slots()[slot].where;
    asio::post(self->strand_,
               [self, feed = std::move(feed), from, who = std::move(who), slot]() mutable {
                 self->ask(feed, from, {.who = std::move(who), .slot = slot});
               });
  };
  for (std::size_t i = 0; i < lanes_wanted(); ++i) {
    const auto left = [weak, i](sse_subscriber& who) {
      const auto self = weak.lock();
      if (!self) return;
      std::vector<feed_ptr> feeds;
      for (auto& each : who.slots()) feeds.push_back(each.feed);
      asio::post(self->strand_, [self, feeds = std::move(feeds), i, first = who.presence,
                                 count = who.presences]() mutable {
        for (std::uint32_t k = 0; k < count; ++k) self->presence_.remove(first + k);
        self->detach(std::move(feeds), i);
      });
    };
    lanes_.push_back(
        std::make_shared<sse_lane>(context_.get_executor(), shared_, tick_, ask, left));
  }
  shared_->on_empty = [weak] {
    const auto self = weak.lock();
    if (self) asio::post(self->strand_, [self] { self->emptied_.cancel(); });
  };
  asio::post(strand_, [self = shared_from_this()] { self->tasks_.spawn(keep_time(self)); });
}

void sse_hub::expect() { shared_->opened(); }

std::size_t sse_hub::open() const noexcept {
  return static_cast<std::size_t>(std::max<std::int64_t>(0, shared_->numbers.open.load()));
}

sse_hub::totals sse_hub::numbers() const noexcept {
  totals all{.open = shared_->numbers.open.load(),
             .delivered = 0,
             .reads = shared_->numbers.reads.load(),
             .slow = shared_->numbers.slow.load(),
             .cut = shared_->numbers.cut.load()};
  for (const auto& each : lanes_) all.delivered += each->delivered.load(std::memory_order_relaxed);
  return all;
}

void sse_hub::accept(stream_socket socket, subscription what, std::string head, bool chunked) {
  asio::post(strand_, [self = shared_from_this(), socket = std::move(socket),
                       what = std::move(what), head = std::move(head), chunked]() mutable {
    self->place(std::move(socket), std::move(what), std::move(head), chunked);
    self->shared_->closed();
  });
}

void sse_hub::place(stream_socket socket, subscription what, std::string head, bool chunked) {
  const std::size_t at = next_lane_++ % lanes_.size();
  std::vector<sse_subscriber::slot> slots;
  slots.reserve(what.parts.size());
  std::vector<std::optional<stream_place>> live;
  for (subscription::part& each : what.parts) {
    slots.push_back(
        {.feed = attach(std::move(each.source), at), .hash = each.hash, .where = each.from});
    live.push_back(slots.back().feed->live);
  }
  auto who = std::make_shared<sse_subscriber>(lanes_[at], std::move(socket), std::move(slots),
                                              chunked, what.vector_id);
  for (live_listener& each : what.listeners) {
    const std::uint64_t id = presence_.add(std::move(each));
    if (who->presences++ == 0) who->presence = id;
  }
  asio::post(lanes_[at]->strand(), [who = std::move(who), head = std::move(head),
                                    live = std::move(live), away = sending_away_]() mutable {
    who->start(std::move(head), live);
    if (away) who->say_farewell();
  });
}

sse_hub::feed_ptr sse_hub::attach(stream_source source, std::size_t lane) {
  auto& found = feeds_[{source.topic.what, source.topic.name}];
  if (!found) {
    found = std::make_shared<sse_feed>();
    found->source = std::move(source);
    tasks_.spawn(follow(shared_from_this(), found));
  }
  ++found->users[lane];
  return found;
}

void sse_hub::detach(std::vector<feed_ptr> feeds, std::size_t lane) {
  for (const feed_ptr& each : feeds) {
    --each->users[lane];
    if (std::ranges::any_of(each->users, [](std::uint32_t count) { return count != 0; })) continue;
    each->retired = true;
    each->behind.clear();
    feeds_.erase({each->source.topic.what, each->source.topic.name});
    poke(*each);
  }
}

// A hint of our own: whoever follows looks at what it has to do.
void sse_hub::poke(const sse_feed& feed) { store_.hints().notify(feed.source.topic); }

void sse_hub::ask(const feed_ptr& feed, stream_place from, sse_feed::request what) {
  if (feed->retired) return;
  feed->behind[from].push_back(std::move(what));
  poke(*feed);
}

awaitable<void> sse_hub::keep_time(std::shared_ptr<sse_hub> self) {
  asio::steady_timer timer(self->strand_);
  while (true) {
    timer.expires_after(self->tick_);
    const auto slept = co_await timer.async_wait(as_result);
    if (std::get<0>(slept)) co_return;
    for (const auto& each : self->lanes_) {
      asio::post(each->strand(), [each] { each->tick(); });
    }
    co_await self->presence_.write();
  }
}

void sse_hub::send_away() {
  asio::post(strand_, [self = shared_from_this()] {
    self->sending_away_ = true;
    for (const auto& each : self->lanes_) {
      asio::post(each->strand(), [each] { each->say_farewell(); });
    }
  });
}

awaitable<bool> sse_hub::wait_until_empty(std::chrono::steady_clock::time_point until) {
  emptied_.expires_at(until);
  while (open() != 0 && std::chrono::steady_clock::now() < until) {
    (void)co_await emptied_.async_wait(as_result);
  }
  co_return open() == 0;
}

// On the strand.
awaitable<void> sse_hub::end(std::shared_ptr<sse_hub> self,
                             std::chrono::steady_clock::time_point until) {
  const bool in_time = co_await self->wait_until_empty(until);
  if (!in_time) {
    for (const auto& each : self->lanes_) {
      asio::post(each->strand(), [each] { each->cut_all(); });
    }
    (void)co_await self->wait_until_empty(std::chrono::steady_clock::time_point::max());
  }
  co_await self->tasks_.stop();
  co_await self->presence_.write_last();
}

awaitable<void> sse_hub::ended(std::shared_ptr<sse_hub> self,
                               std::chrono::steady_clock::time_point until) {
  const sse_strand strand = self->strand_;
  co_await asio::co_spawn(strand, end(std::move(self), until), asio::use_awaitable);
}

}  // namespace millrace::http
