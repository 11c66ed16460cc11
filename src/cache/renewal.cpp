#include "cache_state.hpp"

#include <millrace/cache/refresh_policy.hpp>
#include <millrace/cache/shared_cache.hpp>

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <chrono>
#include <random>
#include <utility>

/// What `get_or_set` does with what it finds: give it, give it and renew it behind the caller's
/// back, or load.
namespace millrace::cache {

using engine::cache_key;
using steady = std::chrono::steady_clock;
using namespace std::chrono_literals;

namespace {

/// How long nobody waits without a look of their own, should a hint be lost.
constexpr auto safety_look = 1s;

bool is_timed(const fill_options& with) { return with.soft_timeout > 0s || with.hard_timeout > 0s; }

error took_too_long() {
  return {errc::deadline_exceeded, "load_timeout",
          "Loading the value took longer than hard_timeout. It goes on, and is kept.", "",
          std::nullopt};
}

error too_many_loads() {
  return {errc::exhausted, "too_many_loads",
          "As many loads with a time limit run already as may: try again.", "",
          std::chrono::seconds{1}};
}

/// Until when a caller waits, and what for.
struct patience {
  patience(const fill_options& with, bool has_old)
      : began(steady::now()),
        old_at(has_old && with.soft_timeout > 0s ? began + with.soft_timeout
                                                 : steady::time_point::max()),
        over_at(with.hard_timeout > 0s ? began + with.hard_timeout : steady::time_point::max()) {}

  [[nodiscard]] steady::time_point until() const { return std::min(old_at, over_at); }
  [[nodiscard]] bool is_over() const { return steady::now() >= until(); }
  [[nodiscard]] steady::duration left() const {
    const auto now = steady::now();
    return std::clamp<steady::duration>(until() - std::min(now, until()), 0ms, safety_look);
  }

  steady::time_point began;
  steady::time_point old_at;
  steady::time_point over_at;
};

}  // namespace

double any_chance() {
  thread_local std::minstd_rand random{std::random_device{}()};
  return 1.0 - std::uniform_real_distribution<>(0.0, 1.0)(random);
}

read_decision shared_cache::decide(const cache_key& at, const aged_entry& found,
                                   const fill_options& with) const {
  entry_times times{.created_at = found.what.created_at, .expires_at = found.what.expires_at};
  const bool by_chance = with.early > 0;
  if (by_chance) times.load_time = state_->times.of(at.key);
  return decide_read(with, times, found.what.created_at + found.age,
                     by_chance ? any_chance() : 1.0);
}

std::optional<filled> shared_cache::in_outage(const cache_key& at, const fill_options& with) const {
  if (with.outage != outage_rule::serve_stale || with_.near == nullptr) return std::nullopt;
  auto kept = with_.near->find_in_outage(at);
  if (!kept) return std::nullopt;
  return to_filled(std::move(kept->what));
}

awaitable<result<filled>> shared_cache::get_or_set(cache_key at, loader load, fill_options with) {
  if (auto fine = check_fill_options(with); !fine) co_return std::unexpected(fine.error());
  // What is old is of use while it is renewed, or when that takes too long.
  const bool takes_old =
      with.stale_while_revalidate > 0s || (is_timed(with) && with.stale_for > 0s);
  if (with.adaptive) static_cast<void>(state_->stats.count_access(at.key));
  key_use use = use_of(at.key, takes_old ? stale::yes : stale::no);
  use.outage = with.outage;
  auto found = co_await read(at, use);
  if (!found && with.outage == outage_rule::refuse) co_return std::unexpected(found.error());
  if (!found) {
    if (auto kept = in_outage(at, with)) co_return std::move(*kept);
  }
  auto decision = read_decision::load;
  std::optional<filled> there;
  if (found && *found) {
    decision = decide(at, **found, with);
    there = to_filled(std::move((*found)->what));
    if (decision == read_decision::fresh) co_return std::move(*there);
  }
  auto what = std::make_unique<work>(work{.at = std::move(at), .load = std::move(load)});
  what->with = std::move(with);
  if (decision == read_decision::load) {
    what->old = std::move(there);
    co_return co_await in_flight(std::move(what));
  }
  if (decision == read_decision::fresh_and_renew) {
    what->when = filling::early;
    what->version = there->version;
  }
  if (!state_->loading.is_up(what->at)) {
    begin_behind(co_await asio::this_coro::executor, std::move(what));
  }
  co_return std::move(*there);
}

awaitable<result<filled>> shared_cache::refresh(cache_key at, loader load, fill_options with) {
  if (auto fine = check_fill_options(with); !fine) co_return std::unexpected(fine.error());
  auto what = std::make_unique<work>(work{.at = std::move(at), .load = std::move(load)});
  what->with = std::move(with);
  what->when = filling::always;
  co_return co_await in_flight(std::move(what));
}

bool shared_cache::begin_behind(const asio::any_io_executor& on, std::unique_ptr<work> what) {
  if (!state_->behind.enter()) return false;
  if (!what->pilot) {
    flights::boarded aboard = state_->loading.board(what->at);
    if (!aboard.first) {
      // Somebody loads it already.
      state_->behind.leave();
      return true;
    }
    what->pilot.emplace(std::move(*aboard.first));
  }
  state_->behind.begin(on, fly(std::move(what)));
  return true;
}

awaitable<void> shared_cache::fly(std::unique_ptr<work> what) {
  auto done = co_await fill(*what);
  // One that gave up lands without a result, and one of those who wait takes over.
  const bool gave_up = !done && done.error().kind == errc::cancelled;
  if (!gave_up) what->pilot->land(done);
}

awaitable<result<filled>> shared_cache::in_flight(std::unique_ptr<work> what) {
  const patience until(what->with, what->old.has_value());
  while (true) {
    flights::boarded aboard = state_->loading.board(what->at);
    if (aboard.first && !is_timed(what->with)) {
      auto done = co_await fill(*what);
      // A cancelled one gives up, and one of those who wait takes over.
      const bool gave_up = !done && done.error().kind == errc::cancelled;
      if (!gave_up) aboard.first->land(done);
      co_return done;
    }
    if (aboard.first) {
      auto alone = std::make_unique<work>(work{.at = what->at, .load = what->load});
      alone->with = what->with;
      alone->when = what->when;
      alone->pilot.emplace(std::move(*aboard.first));
      if (!begin_behind(co_await asio::this_coro::executor, std::move(alone))) {
        if (what->old) co_return std::move(*what->old);
        co_return std::unexpected(too_many_loads());
      }
    }
    while (true) {
      {
        const std::lock_guard held(aboard.what->mutex);
        if (aboard.what->landed) co_return *aboard.what->landed;
        // Whoever loaded has given up: one of those who waited takes over.
        if (aboard.what->over) break;
      }
      if (until.is_over()) {
        if (what->old) co_return std::move(*what->old);
        co_return std::unexpected(took_too_long());
      }
      static_cast<void>(co_await aboard.listener.wait(until.left()));
    }
  }
}

}  // namespace millrace::cache
