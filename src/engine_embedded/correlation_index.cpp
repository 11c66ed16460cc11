#include "correlation_index.hpp"

#include <algorithm>

namespace millrace::embedded {

// FNV-1a, with what ends the project between the two.
std::uint64_t correlation_index::hash_of(std::string_view project, std::string_view id) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  const auto take = [&hash](std::string_view text) {
    for (const char each : text) {
      hash = (hash ^ static_cast<unsigned char>(each)) * 0x100000001b3U;
    }
  };
  take(project);
  take(std::string_view("\0", 1));
  take(id);
  return hash;
}

void correlation_index::clear() {
  nodes_.clear();
  newest_.clear();
  first_ = 1;
}

const correlation_index::node* correlation_index::numbered(std::uint64_t number) const {
  return number < first_ ? nullptr : &nodes_[static_cast<std::size_t>(number - first_)];
}

std::deque<correlation_index::node>::const_iterator correlation_index::at_or_above(
    std::uint64_t stamp) const {
  return std::ranges::lower_bound(nodes_, stamp, {},
                                  [](const node& each) { return each.what.stamp; });
}

void correlation_index::pop_oldest() {
  const auto at = newest_.find(nodes_.front().hash);
  if (at != newest_.end() && at->second == first_) newest_.erase(at);
  nodes_.pop_front();
  ++first_;
}

void correlation_index::add(std::uint64_t hash, place what) {
  while (is_full() && !nodes_.empty()) pop_oldest();
  const std::uint64_t number = first_ + nodes_.size();
  const auto [at, fresh] = newest_.try_emplace(hash, number);
  const std::uint64_t older = fresh ? 0 : at->second;
  at->second = number;
  nodes_.push_back({.what = what, .hash = hash, .older = older});
}

void correlation_index::forget(std::uint64_t stamp) {
  if (nodes_.empty() || stamp < nodes_.front().what.stamp) return;
  const auto at = at_or_above(stamp);
  if (at == nodes_.end() || at->what.stamp != stamp) return;
  nodes_[static_cast<std::size_t>(at - nodes_.begin())].what.event_row = gone;
  while (!nodes_.empty() && nodes_.front().is_gone()) pop_oldest();
}

std::optional<correlation_index::place> correlation_index::before(std::uint64_t hash,
                                                                  std::uint64_t stamp) const {
  const auto newest = newest_.find(hash);
  if (newest == newest_.end()) return std::nullopt;
  const node* each = numbered(newest->second);
  // Going on from one of them is usual, and then the others between need not be passed.
  const auto at = at_or_above(stamp);
  if (at != nodes_.end() && at->what.stamp == stamp && at->hash == hash) {
    each = numbered(at->older);
  }
  while (each != nullptr && (each->is_gone() || each->what.stamp >= stamp)) {
    each = numbered(each->older);
  }
  if (each == nullptr) return std::nullopt;
  return each->what;
}

}  // namespace millrace::embedded
