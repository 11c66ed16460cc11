#include "limit_shares.hpp"
#include "outage_ledger.hpp"

#include <millrace/limiter/limiter.hpp>

#include <utility>

namespace millrace {
namespace {

/// Neither a name nor a key holds it.
constexpr char between = '\0';

limit_consumer consumer_of(heavy_hitter from) {
  limit_consumer out{.count = from.count, .error = from.error};
  const std::size_t scope = from.key.find(between) + 1;
  const std::size_t id = from.key.find(between, scope) + 1;
  out.policy = from.key.substr(0, scope - 1);
  out.scope = from.key.substr(scope, id - 1 - scope);
  out.id = from.key.substr(id);
  return out;
}

std::vector<limit_consumer> consumers_of(std::vector<heavy_hitter> from) {
  std::vector<limit_consumer> out;
  out.reserve(from.size());
  for (heavy_hitter& each : from) out.push_back(consumer_of(std::move(each)));
  return out;
}

}  // namespace

void limiter::count_consumers(const std::string& policy, const limit_answer& answer) {
  std::string key;
  for (const limited& each : answer.limits) {
    if (each.scope == "global" || each.scope == "server" || each.dry_run) continue;
    if (!answer.allowed && each.state.allowed) continue;
    key = policy;
    key += between;
    key += each.scope;
    key += between;
    key += each.id;
    if (answer.allowed) {
      used_.add(key, answer.granted > 0 ? answer.granted : each.cost);
    } else {
      refused_.add(key, 1);
    }
  }
}

limit_consumers limiter::top(std::size_t count) const {
  return {.used = consumers_of(used_.top(count)), .refused = consumers_of(refused_.top(count))};
}

}  // namespace millrace
