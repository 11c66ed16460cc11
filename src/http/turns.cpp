#include "turns.hpp"

#include <chrono>

namespace millrace::http {
namespace {

/// What a lost hint can cost at most.
constexpr std::chrono::milliseconds safety_tick{100};

}  // namespace

awaitable<turns::turn> turns::take(engine::topic record) {
  // Made before the first look, so that a turn that ends in between is heard of.
  auto listener = freed_.listen({record});
  while (!try_take(record)) co_await listener.wait(safety_tick);
  listener.consume();
  co_return turn{*this, std::move(record)};
}

bool turns::try_take(const engine::topic& record) {
  const std::lock_guard lock{guard_};
  return taken_.emplace(record.what, record.name).second;
}

void turns::give_back(const engine::topic& record) {
  {
    const std::lock_guard lock{guard_};
    taken_.erase({record.what, record.name});
  }
  freed_.notify(record, 1);
}

}  // namespace millrace::http
