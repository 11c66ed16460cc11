#include "cache_state.hpp"
#include "claim_keeper.hpp"

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

filled to_filled(cache_entry entry) {
  filled out{.content_type = std::move(entry.content_type),
             .version = entry.version,
             .stale = entry.stale};
  if (out.content_type != nothing_type) out.value = std::move(entry.value);
  return out;
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

}  // namespace

awaitable<result<cache_claimed>> shared_cache::claim(engine::claim_cache what, duration wait) {
  if (wait < duration{0} || wait > claim_wait_max) {
    co_return invalid("wait", fmt::format("wait must be 0 to {} s.", claim_wait_max.count()));
  }
  const auto deadline = steady::now() + wait;
  auto listener = store_.hints().listen({engine::cache_topic(what.at.project, what.at.key)});
  while (true) {
    auto claimed =
        co_await engine::commit_step<cache_claimed>(store_, what, engine::durability::async);
    const bool over = is_cancelled(co_await asio::this_coro::cancellation_state);
    if (over && claimed && claimed->state == claim_state::fill) {
      give_back(store_, what.at, claimed->lease);
    }
    if (over) co_return std::unexpected(was_cancelled());
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

awaitable<result<filled>> shared_cache::get_or_set(cache_key at, loader load, fill_options with) {
  auto found = co_await get(at);
  if (found && *found) co_return to_filled(std::move(**found));
  co_return co_await in_flight(std::move(at), std::move(load), with, filling::where_missing);
}

awaitable<result<filled>> shared_cache::refresh(cache_key at, loader load, fill_options with) {
  return in_flight(std::move(at), std::move(load), with, filling::always);
}

awaitable<result<filled>> shared_cache::in_flight(cache_key at, loader load, fill_options with,
                                                  filling when) {
  while (true) {
    flights::boarded aboard = state_->loading.board(at);
    if (aboard.first) {
      auto done = co_await fill(at, load, with, when);
      // A cancelled one gives up, and one of those who wait takes over.
      const bool gave_up = !done && done.error().kind == errc::cancelled;
      if (!gave_up) aboard.first->land(done);
      co_return done;
    }
    while (true) {
      {
        const std::lock_guard held(aboard.what->mutex);
        if (aboard.what->landed) co_return *aboard.what->landed;
        // Whoever loaded has given up: one of those who waited takes over.
        if (aboard.what->over) break;
      }
      static_cast<void>(co_await aboard.listener.wait(safety_look));
    }
  }
}

// borrows: awaited in place
awaitable<result<filled>> shared_cache::fill(const cache_key& at, const loader& load,
                                             const fill_options& with, filling when) {
  if (when == filling::always) co_return co_await load_and_put(at, load, with, {});
  while (true) {
    auto claimed = co_await claim({.at = at, .lease = fill_lease}, 0s);
    if (claimed && claimed->state == claim_state::wait && !claimed->found) {
      claimed = co_await claim({.at = at, .lease = fill_lease}, claim_wait_max);
    }
    // Without the store everybody loads for themselves.
    if (!claimed && claimed.error().kind != errc::cancelled) {
      co_return co_await load_and_put(at, load, with, {});
    }
    if (!claimed) co_return std::unexpected(std::move(claimed.error()));
    if (claimed->state == claim_state::fill) {
      co_return co_await load_and_put(at, load, with, *claimed);
    }
    // A fresh value, or one that is stale while another process loads.
    if (claimed->found) co_return to_filled(std::move(*claimed->found));
  }
}

// borrows: awaited in place
awaitable<result<std::optional<loaded_value>>> shared_cache::run_loader(const cache_key& at,
                                                                        const loader& load,
                                                                        std::uint64_t lease) {
  std::optional<result<std::optional<loaded_value>>> loaded;
  const auto began = steady::now();
  {
    std::optional<claim_keeper> keeper;
    if (lease != 0) keeper.emplace(co_await asio::this_coro::executor, store_, at, lease);
    co_await call_loader(load, &loaded);
  }
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(steady::now() - began);
  ++state_->loads;
  state_->load_us += static_cast<std::uint64_t>(took.count());
  if (!*loaded) ++state_->failed_loads;
  co_return std::move(*loaded);
}

// borrows: awaited in place
awaitable<result<filled>> shared_cache::load_and_put(const cache_key& at, const loader& load,
                                                     const fill_options& with,
                                                     const cache_claimed& claimed) {
  held_claim holding(store_, at, claimed.lease);
  auto loaded = co_await run_loader(at, load, claimed.lease);
  if (!loaded) {
    if (claimed.found) co_return to_filled(*claimed.found);
    co_return std::unexpected(std::move(loaded.error()));
  }
  filled out{.loaded = true};
  engine::put_cache put{
      .at = at, .ttl = with.ttl, .stale_for = with.stale_for, .lease = claimed.lease};
  if (*loaded) {
    put.value = (*loaded)->value;
    put.content_type = (*loaded)->content_type;
    put.tags = std::move((*loaded)->tags);
    put.ttl = (*loaded)->ttl.value_or(with.ttl);
    out.value = std::move((*loaded)->value);
    out.content_type = std::move((*loaded)->content_type);
  } else {
    if (with.negative_ttl == 0s) co_return out;
    put.content_type = nothing_type;
    put.ttl = with.negative_ttl;
    put.stale_for = 0s;
  }
  // Before the put is answered nobody may take the claim for free, and after it there is none.
  const auto kept = co_await this->put(std::move(put));
  if (kept) {
    holding.used();
    out.version = kept->version;
  }
  co_return out;
}

}  // namespace millrace::cache
