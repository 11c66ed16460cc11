#include "claim_keeper.hpp"

#include <millrace/cache/shared_cache.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>

#include <atomic>
#include <chrono>
#include <mutex>
#include <utility>
#include <vector>

namespace millrace::cache {
namespace {

/// So often that one lost renewal does no harm.
constexpr std::chrono::milliseconds renew_every{650};

}  // namespace

struct claim_keeper::state : std::enable_shared_from_this<state> {
  state(const asio::any_io_executor& on, engine::store& where, engine::cache_key key,
        std::uint64_t held)
      : strand(asio::make_strand(on)),
        timer(strand),
        store(where),
        at(std::move(key)),
        lease(held) {}

  // On the strand.
  void arm() {
    timer.expires_after(renew_every);
    timer.async_wait([self = shared_from_this()](const boost::system::error_code& cut) {
      if (!cut && self->renew()) self->arm();
    });
  }

  // False when there is nothing to renew any more.
  bool renew() {
    const std::lock_guard held(mutex);
    if (stopped || *lost) return false;
    std::vector<engine::transaction> batch(1);
    batch.front().level = engine::durability::async;
    batch.front().steps.emplace_back(
        engine::renew_claim{.at = at, .lease = lease, .length = fill_lease});
    store.submit(std::move(batch),
                 [flag = lost](const std::vector<engine::commit_result>& results) {
                   const auto& done = results.front();
                   if (!done && done.error().why.kind == errc::conflict) *flag = true;
                 });
    return true;
  }

  const asio::any_io_executor strand;
  asio::steady_timer timer;
  engine::store& store;
  const engine::cache_key at;
  const std::uint64_t lease;
  /// Whoever has lost the claim goes on loading: somebody waits for the value.
  const std::shared_ptr<std::atomic<bool>> lost{std::make_shared<std::atomic<bool>>(false)};
  std::mutex mutex;
  /// Guarded by `mutex`.
  bool stopped{false};
};

claim_keeper::claim_keeper(const asio::any_io_executor& on, engine::store& store,
                           engine::cache_key at, std::uint64_t lease)
    : state_(std::make_shared<state>(on, store, std::move(at), lease)) {
  asio::post(state_->strand, [self = state_] { self->arm(); });
}

claim_keeper::~claim_keeper() {
  {
    const std::lock_guard held(state_->mutex);
    state_->stopped = true;
  }
  asio::post(state_->strand, [self = state_] { self->timer.cancel(); });
}

}  // namespace millrace::cache
