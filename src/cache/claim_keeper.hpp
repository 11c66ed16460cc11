#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/engine/store.hpp>

#include <cstdint>
#include <memory>

namespace millrace::cache {

/// Keeps a claim while it lives, by renewing it on a timer of its own. It is no coroutine beside
/// that of the loader, so that nothing has to be cancelled when a loader ends at once.
///
/// Threading: made and destroyed by whoever loads; works on a strand of the executor.
/// Lifetime:  the store is not touched any more once the destructor has returned.
class claim_keeper final {
public:
  claim_keeper(const asio::any_io_executor& on, engine::store& store, engine::cache_key at,
               std::uint64_t lease);
  ~claim_keeper();
  claim_keeper(const claim_keeper&) = delete;
  claim_keeper& operator=(const claim_keeper&) = delete;

private:
  struct state;
  std::shared_ptr<state> state_;
};

}  // namespace millrace::cache
