#include "top_keys.hpp"

#include <algorithm>
#include <functional>
#include <tuple>

namespace millrace::cache {

void top_keys::count(std::string_view key) {
  const std::lock_guard held(mutex_);
  const auto at = counts_.find(key);
  if (at != counts_.end()) {
    ++at->second;
    return;
  }
  if (counts_.size() >= 2 * kept_) thin_out();
  counts_.emplace(std::string(key), 1);
}

void top_keys::thin_out() {
  std::vector<std::uint64_t> counts;
  counts.reserve(counts_.size());
  for (const auto& [key, count] : counts_) counts.push_back(count);
  const auto nth = counts.begin() + static_cast<std::ptrdiff_t>(kept_);
  std::ranges::nth_element(counts, nth, std::greater<>());
  const std::uint64_t taken = *nth;
  for (auto at = counts_.begin(); at != counts_.end();) {
    if (at->second <= taken) {
      at = counts_.erase(at);
    } else {
      (at++)->second -= taken;
    }
  }
}

std::vector<std::pair<std::string, std::uint64_t>> top_keys::top(std::size_t most) const {
  std::vector<std::pair<std::string, std::uint64_t>> all;
  {
    const std::lock_guard held(mutex_);
    all.assign(counts_.begin(), counts_.end());
  }
  std::ranges::sort(all, [](const auto& a, const auto& b) {
    return std::tie(b.second, a.first) < std::tie(a.second, b.first);
  });
  if (all.size() > most) all.resize(most);
  return all;
}

}  // namespace millrace::cache
