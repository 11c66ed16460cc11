#include "cache_state.hpp"
#include "claim_keeper.hpp"
#include "entry_codec.hpp"

#include <millrace/base/names.hpp>
#include <millrace/cache/refresh_policy.hpp>
#include <millrace/cache/shared_cache.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/engine/checks.hpp>

#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

/// Single flight: in the process by `flights`, across processes by claims.
namespace millrace::cache {

using engine::cache_claimed;
using engine::cache_entry;
using engine::cache_key;
using engine::claim_state;
using steady = std::chrono::steady_clock;
using namespace std::chrono_literals;

namespace {

/// How long nobody waits without a look of their own, should a hint be lost.
constexpr auto safety_look = 1s;

bool is_cancelled(asio::cancellation_state state) {
  return state.cancelled() != asio::cancellation_type::none;
}

error was_cancelled() {
  return {errc::cancelled, "claim_cancelled", "The wait for the cache was cancelled.", "",
          std::nullopt};
}

// Nobody waits for the answer; a claim that cannot be given back ends by itself.
void give_back(engine::store& store, const cache_key& at, std::uint64_t lease) {
  std::vector<engine::transaction> batch(1);
  batch.front().level = engine::durability::async;
  batch.front().steps.emplace_back(engine::release_claim{.at = at, .lease = lease});
  store.submit(std::move(batch), [](const std::vector<engine::commit_result>&) {});
}

// One that is granted after its caller has gone on is given back.
//
// borrows: awaited in place
awaitable<result<cache_claimed>> claim_once(store_pulse& pulse, engine::store& store,
                                            const engine::claim_cache& what, duration patience) {
  engine::transaction one{.level = engine::durability::async};
  one.steps.emplace_back(what);
  const auto late = [&store, at = what.at](engine::commit_result done) {
    if (!done) return;
    const auto& granted = std::get<cache_claimed>(done->outcomes.front());
    if (granted.state == claim_state::fill) give_back(store, at, granted.lease);
  };
  engine::commit_result done = co_await pulse.commit(std::move(one), patience, late);
  if (!done) co_return std::unexpected(std::move(done.error().why));
  co_return std::get<cache_claimed>(std::move(done->outcomes.front()));
}

/// A claim that its owner may not be able to give back itself: a cancelled coroutine awaits
/// nothing.
class held_claim final {
public:
  held_claim(engine::store& store, const cache_key& at, std::uint64_t lease)
      : store_(store), at_(at), lease_(lease) {}
  ~held_claim() {
    if (lease_ != 0) give_back(store_, at_, lease_);
  }
  held_claim(const held_claim&) = delete;
  held_claim& operator=(const held_claim&) = delete;
  void used() { lease_ = 0; }

private:
  engine::store& store_;
  const cache_key& at_;
  std::uint64_t lease_;
};

awaitable<void> call_loader(loader load, std::optional<result<std::optional<loaded_value>>>* into) {
  std::string thrown;
  try {
    into->emplace(co_await load());
    co_return;
  } catch (const boost::system::system_error& e) {
    if (e.code() == asio::error::operation_aborted) throw;
    thrown = e.what();
  } catch (const std::exception& e) {
    thrown = e.what();
  }
  into->emplace(std::unexpected(error{errc::internal, "loader_threw", std::move(thrown), "", {}}));
}

// What is claimed while a fresh entry is renewed early, in place of its key, which nobody can claim
// while there is something. Nothing is ever put there; a key of the user's that has this name is at
// worst not renewed early, or loaded by one who has waited.
cache_key early_claim_of(const cache_key& at) {
  return {.project = at.project, .key = "renew~" + at.key};
}

// A claim that its owner keeps, so that nobody tries again until then.
void hold_for(engine::store& store, const cache_key& at, std::uint64_t lease, duration length) {
  std::vector<engine::transaction> batch(1);
  batch.front().level = engine::durability::async;
  batch.front().steps.emplace_back(engine::renew_claim{.at = at, .lease = lease, .length = length});
  store.submit(std::move(batch), [](const std::vector<engine::commit_result>&) {});
}

}  // namespace

filled to_filled(cache_entry entry) {
  filled out{.content_type = std::move(entry.content_type),
             .version = entry.version,
             .stale = entry.stale};
  if (out.content_type != nothing_type) out.value = std::move(entry.value);
  return out;
}

// What cannot be read is a miss. A fresh one stands in the way of whoever would fill it: it goes,
// unless it has changed meanwhile, and the key is claimed again. Says whether there is an answer.
//
// borrows: awaited in place
awaitable<bool> shared_cache::opens(const cache_key& at, cache_claimed& claimed) {
  const key_use use = use_of(at.key, stale::no);
  if (!open_entry(at.key, *claimed.found, use.spec(), ring())) co_return true;
  state_->stats.undecodable(use.number());
  const std::uint64_t version = claimed.found->version;
  claimed.found.reset();
  if (claimed.state != claim_state::hit) co_return true;
  static_cast<void>(co_await remove({.at = at, .version = version}));
  co_return false;
}

awaitable<result<cache_claimed>> shared_cache::claim(engine::claim_cache what, duration wait) {
  return claim_within(std::move(what), wait, duration{0});
}

awaitable<result<cache_claimed>> shared_cache::claim_within(engine::claim_cache what, duration wait,
                                                            duration patience) {
  if (wait < duration{0} || wait > claim_wait_max) {
    co_return invalid("wait", fmt::format("wait must be 0 to {} s.", claim_wait_max.count()));
  }
  const auto deadline = steady::now() + wait;
  auto listener = store_.hints().listen({engine::cache_topic(what.at.project, what.at.key)});
  while (true) {
    auto claimed = co_await claim_once(state_->pulse, store_, what, patience);
    const bool over = is_cancelled(co_await asio::this_coro::cancellation_state);
    if (over && claimed && claimed->state == claim_state::fill) {
      give_back(store_, what.at, claimed->lease);
    }
    if (over) co_return std::unexpected(was_cancelled());
    if (claimed && claimed->found && !co_await opens(what.at, *claimed)) continue;
    if (!claimed || claimed->state != claim_state::wait) co_return claimed;
    if (steady::now() >= deadline) co_return claimed;
    const auto until_over =
        std::clamp<steady::duration>(claimed->until - claimed->now, 1ms, safety_look);
    const auto left = std::max(deadline - steady::now(), steady::duration::zero());
    [[maybe_unused]] bool hinted = false;
    try {
      hinted = co_await listener.wait(std::min(left, until_over));
    } catch (const boost::system::system_error&) {
      // A wait throws only when it is cancelled, which the next line finds out.
      hinted = false;
    }
    if (is_cancelled(co_await asio::this_coro::cancellation_state)) break;
  }
  co_return std::unexpected(was_cancelled());
}

// borrows: awaited in place
awaitable<result<filled>> shared_cache::fill(const work& what) {
  if (what.when == filling::early) co_return co_await fill_early(what);
  if (what.when == filling::always) co_return co_await load_and_put(what, what.at, {});
  while (true) {
    const duration patience = claim_patience * with_.patience;
    auto claimed = co_await claim_within({.at = what.at, .lease = fill_lease}, 0s, patience);
    if (claimed && claimed->state == claim_state::wait && !claimed->found) {
      claimed =
          co_await claim_within({.at = what.at, .lease = fill_lease}, claim_wait_max, patience);
    }
    // Without the store everybody loads for themselves.
    if (!claimed && claimed.error().kind != errc::cancelled) {
      co_return co_await load_and_put(what, what.at, {});
    }
    if (!claimed) co_return std::unexpected(std::move(claimed.error()));
    if (claimed->state == claim_state::fill) {
      co_return co_await load_and_put(what, what.at, *claimed);
    }
    // A fresh value, or one that is stale while another process loads.
    if (claimed->found) co_return to_filled(std::move(*claimed->found));
  }
}

// Of all processes one renews a fresh entry at a time. What comes of it is kept only over that
// entry: one that was changed or invalidated meanwhile stays as it is.
//
// borrows: awaited in place
awaitable<result<filled>> shared_cache::fill_early(const work& what) {
  const cache_key at = early_claim_of(what.at);
  if (at.key.size() > key_bytes_max) co_return co_await load_and_put(what, at, {});
  auto claimed =
      co_await claim_within({.at = at, .lease = fill_lease}, 0s, claim_patience * with_.patience);
  if (!claimed || claimed->state != claim_state::fill) co_return std::unexpected(was_cancelled());
  claimed->found.reset();
  co_return co_await load_and_put(what, at, *claimed);
}

// borrows: awaited in place
awaitable<result<std::optional<loaded_value>>> shared_cache::run_loader(const work& what,
                                                                        const cache_key& claim_at,
                                                                        std::uint64_t lease) {
  std::optional<result<std::optional<loaded_value>>> loaded;
  const auto began = steady::now();
  {
    std::optional<claim_keeper> keeper;
    if (lease != 0) keeper.emplace(co_await asio::this_coro::executor, store_, claim_at, lease);
    co_await call_loader(what.load, &loaded);
  }
  const auto took = std::chrono::duration_cast<duration>(steady::now() - began);
  state_->stats.load(use_of(what.at.key, stale::no).number(), took, !*loaded);
  if (*loaded) state_->times.note(what.at.key, took);
  co_return std::move(*loaded);
}

// What was loaded is at hand: nobody waits long for a store that says nothing.
awaitable<result<engine::cache_stored>> shared_cache::keep(engine::put_cache what) {
  if (auto ready = prepare(what); !ready) co_return std::unexpected(std::move(ready.error()));
  engine::transaction one{.level = engine::durability::async};
  one.steps.emplace_back(std::move(what));
  engine::commit_result done =
      co_await state_->pulse.commit(std::move(one), claim_patience * with_.patience);
  if (!done) co_return std::unexpected(std::move(done.error().why));
  auto kept = std::get<engine::cache_stored>(std::move(done->outcomes.front()));
  count_evicted(kept);
  co_return kept;
}

// borrows: awaited in place
awaitable<result<filled>> shared_cache::load_and_put(const work& what, const cache_key& claim_at,
                                                     const cache_claimed& claimed) {
  held_claim holding(store_, claim_at, claimed.lease);
  const fill_options& with = what.with;
  auto loaded = co_await run_loader(what, claim_at, claimed.lease);
  if (!loaded) {
    const bool goes_on = claimed.found || what.when == filling::early;
    if (goes_on && claimed.lease != 0 && with.retry_after > 0s) {
      hold_for(store_, claim_at, claimed.lease, with.retry_after);
      holding.used();
    }
    if (claimed.found) co_return to_filled(*claimed.found);
    co_return std::unexpected(std::move(loaded.error()));
  }
  filled out{.loaded = true};
  engine::put_cache put{.at = what.at, .stale_for = kept_after_expiry(with)};
  if (what.when == filling::early) {
    put.expects = engine::cache_expectation::version;
    put.version = what.version;
  } else {
    put.lease = claimed.lease;
  }
  if (*loaded) {
    const std::uint64_t uses = with.adaptive ? state_->stats.count_access(what.at.key) : 0;
    put.ttl = (*loaded)->ttl.value_or(ttl_for(with, with_.default_ttl, uses, any_chance()));
    put.value = (*loaded)->value;
    put.content_type = (*loaded)->content_type;
    put.tags = std::move((*loaded)->tags);
    out.value = std::move((*loaded)->value);
    out.content_type = std::move((*loaded)->content_type);
  } else {
    if (with.negative_ttl == 0s) co_return out;
    put.content_type = nothing_type;
    put.ttl = with.negative_ttl;
    put.stale_for = 0s;
  }
  // Before the put is answered nobody may take the claim for free, and after it there is none.
  const auto kept = co_await keep(std::move(put));
  if (kept) {
    if (what.when != filling::early) holding.used();
    out.version = kept->version;
  }
  co_return out;
}

}  // namespace millrace::cache
