#include "flights.hpp"

#include <utility>

namespace millrace::cache {

flights::boarded flights::board(const engine::cache_key& at) {
  // Before the look, so that an end between the two is heard of.
  engine::wakeups::listener listener = ends_.listen({engine::cache_topic(at.project, at.key)});
  const std::lock_guard held(mutex_);
  const auto [where, is_new] = in_the_air_.try_emplace(at);
  if (is_new) where->second = std::make_shared<flight>();
  boarded out{.first = std::nullopt, .what = where->second, .listener = std::move(listener)};
  if (is_new) out.first.emplace(*this, at, where->second);
  return out;
}

bool flights::is_up(const engine::cache_key& at) {
  const std::lock_guard held(mutex_);
  return in_the_air_.contains(at);
}

void flights::end(const engine::cache_key& at, flight& what, std::optional<result<filled>> landed) {
  {
    const std::lock_guard held(mutex_);
    in_the_air_.erase(at);
  }
  {
    const std::lock_guard held(what.mutex);
    what.landed = std::move(landed);
    what.over = true;
  }
  ends_.notify(engine::cache_topic(at.project, at.key));
}

}  // namespace millrace::cache
