#include "outage_ledger.hpp"

#include <algorithm>
#include <utility>

namespace millrace {

void outage_ledger::note(const std::string& project, const wanted_limit& limit, std::uint64_t cost,
                         timestamp at) {
  std::string key = project + '\0' + engine::limit_name(limit.check);
  const std::lock_guard held(mutex_);
  const auto found = entries_.find(key);
  if (found != entries_.end()) {
    found->second.cost += cost;
    found->second.at = std::max(found->second.at, at);
    return;
  }
  if (entries_.size() >= local_counts_max) return;
  entries_.emplace(std::move(key), entry{project, limit, cost, at});
}

std::vector<outage_ledger::entry> outage_ledger::take(std::size_t most) {
  std::vector<entry> out;
  const std::lock_guard held(mutex_);
  while (out.size() < most && !entries_.empty()) {
    out.push_back(std::move(entries_.extract(entries_.begin()).mapped()));
  }
  return out;
}

void outage_ledger::put_back(std::vector<entry> entries) {
  for (const entry& each : entries) note(each.project, each.limit, each.cost, each.at);
}

}  // namespace millrace
