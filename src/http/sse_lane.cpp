#include "sse_lane.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <random>
#include <ranges>

namespace millrace::http {
namespace {

/// Subscribers served in one go; then others on this thread have their turn.
constexpr std::size_t served_at_once = 256;
/// The latest of what is followed, kept for those who come back.
constexpr std::size_t tail_bytes_max = std::size_t{64} << 10U;
constexpr std::size_t tail_batches_max = 64;
/// What nobody added to for so long is not kept.
constexpr std::uint32_t tail_ticks = 64;
/// At least, and with one more a client: a thousand come back a second.
constexpr std::uint64_t retry_ms = 1000;
constexpr std::int64_t retry_spread_ms_max = 60'000;

std::uint32_t ticks_of(std::chrono::milliseconds span, std::chrono::milliseconds tick) {
  return static_cast<std::uint32_t>(std::max<std::int64_t>(1, span / tick));
}

}  // namespace

void sse_round::leave(const std::shared_ptr<sse_round>& round) {
  if (round->left.fetch_sub(1) != 1) return;
  asio::post(round->strand, [round] { round->done.cancel(); });
}

void sse_shared::closed() {
  if (numbers.open.fetch_sub(1) == 1 && on_empty) on_empty();
}

std::uint64_t sse_shared::farewell_retry_ms() {
  thread_local std::mt19937_64 source{std::random_device{}()};
  const std::int64_t spread =
      std::clamp<std::int64_t>(numbers.open.load(), 1000, retry_spread_ms_max);
  return retry_ms + source() % static_cast<std::uint64_t>(spread);
}

seating::found seating::behind(const stream_place& where) const noexcept {
  if (where == live) return {};
  for (const batch_ptr& each : std::views::reverse(tail)) {
    const std::size_t first = each->entry_from(where);
    if (first < each->entries.size() || (first == 0 && each->end != where)) return {each, first};
  }
  return {};
}

void seating::add(batch_ptr what) {
  live = what->end;
  tail_bytes += what->bytes.size();
  tail.push_back(std::move(what));
  while (tail.size() > 1 && (tail_bytes > tail_bytes_max || tail.size() > tail_batches_max)) {
    tail_bytes -= tail.front()->bytes.size();
    tail.pop_front();
  }
}

sse_lane::sse_lane(const asio::io_context::executor_type& on, std::shared_ptr<sse_shared> shared,
                   std::chrono::milliseconds tick, ask_fn ask, left_fn left)
    : strand_(asio::make_strand(on)),
      shared_(std::move(shared)),
      comment_ticks_(ticks_of(shared_->limits.comment_interval, tick)),
      write_ticks_(ticks_of(shared_->limits.write_deadline, tick)),
      ask_(std::move(ask)),
      left_(std::move(left)) {}

void sse_lane::seat(sse_subscriber& who, const std::vector<std::optional<stream_place>>& live) {
  auto& slots = who.slots();
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const auto [place, is_first] = seatings_.try_emplace(slots[i].feed.get());
    seating& at = place->second;
    if (is_first) at.live = live[i];
    slots[i].at = &at;
    slots[i].seat = static_cast<std::uint32_t>(at.seats.size());
    at.seats.push_back({.who = &who, .slot = static_cast<std::uint32_t>(i)});
  }
}

void sse_lane::leave(sse_subscriber& who) {
  wheel_.erase(who);
  for (sse_subscriber::slot& each : who.slots()) {
    if (each.at != nullptr) unseat(each);
  }
  left_(who);
}

// While a batch is handed out seats keep their places: whoever came last would be passed over.
void sse_lane::unseat(sse_subscriber::slot& of) {
  seating& at = *std::exchange(of.at, nullptr);
  at.seats[of.seat].who = nullptr;
  if (at.delivering) return;
  if (of.seat + 1 != at.seats.size()) {
    at.seats[of.seat] = at.seats.back();
    const seating::seat& moved = at.seats[of.seat];
    moved.who->slots()[moved.slot].seat = of.seat;
  }
  at.seats.pop_back();
  if (at.seats.empty()) seatings_.erase(of.feed.get());
}

void sse_lane::sweep(seating& at) {
  std::erase_if(at.seats, [](const seating::seat& each) { return each.who == nullptr; });
  for (std::size_t i = 0; i < at.seats.size(); ++i) {
    const seating::seat& each = at.seats[i];
    each.who->slots()[each.slot].seat = static_cast<std::uint32_t>(i);
  }
}

void sse_lane::ask(std::shared_ptr<sse_subscriber> who, std::size_t slot) {
  who->slots()[slot].asking = true;
  ask_(std::move(who), slot);
}

void sse_lane::wait_on_wheel(std::shared_ptr<sse_subscriber> who, std::uint32_t ticks) {
  wheel_.insert(std::move(who), ticks);
}

void sse_lane::hurry(sse_subscriber& who) {
  if (who.on_wheel.slot != wheel_place::none && wheel_.ticks_left(who) <= write_ticks_) return;
  wheel_.erase(who);
  wheel_.insert(who.shared_from_this(), write_ticks_);
}

void sse_lane::deliver(std::shared_ptr<sse_feed> from, batch_ptr what,
                       std::shared_ptr<sse_round> round) {
  const auto found = seatings_.find(from.get());
  if (found == seatings_.end()) {
    sse_round::leave(round);
    return;
  }
  seating& at = found->second;
  at.add(std::move(what));
  at.changed_tick = now_;
  at.delivering = true;
  deliver_from(std::move(from), 0, std::move(round));
}

void sse_lane::deliver_from(std::shared_ptr<sse_feed> from, std::size_t index,
                            std::shared_ptr<sse_round> round) {
  // It is there as long as something is delivered in it.
  seating& at = seatings_.at(from.get());
  const std::size_t end = std::min(at.seats.size(), index + served_at_once);
  for (; index < end; ++index) {
    const seating::seat each = at.seats[index];
    if (each.who != nullptr) each.who->news(each.slot);
  }
  if (index < at.seats.size()) {
    asio::post(strand_, [self = shared_from_this(), from = std::move(from), index,
                         round = std::move(round)]() mutable {
      self->deliver_from(std::move(from), index, std::move(round));
    });
    return;
  }
  at.delivering = false;
  sweep(at);
  if (at.seats.empty()) seatings_.erase(from.get());
  sse_round::leave(round);
}

void sse_lane::tick() {
  ++now_;
  for (const auto& each : wheel_.tick()) each->look();
  if (now_ % tail_ticks != 0) return;
  for (auto& [feed, at] : seatings_) {
    if (at.delivering || now_ - at.changed_tick < tail_ticks) continue;
    at.tail.clear();
    at.tail_bytes = 0;
  }
}

void sse_lane::say_farewell() {
  for (const auto& each : wheel_.take_all()) {
    wheel_.insert(each, write_ticks_);
    each->say_farewell();
  }
}

void sse_lane::cut_all() {
  for (const auto& each : wheel_.take_all()) each->cut();
}

}  // namespace millrace::http
