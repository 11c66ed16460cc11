#include <millrace/base/heavy_hitters.hpp>

#include <algorithm>
#include <utility>

namespace millrace {

heavy_hitters::heavy_hitters(std::size_t kept) : kept_(kept) {}

void heavy_hitters::add(std::string_view key, std::uint64_t weight, std::size_t tag, bool marked) {
  const std::unique_lock lock(held_, std::try_to_lock);
  if (!lock) return;
  const auto found = places_.find(key);
  if (found != places_.end()) {
    heap_[found->second].count += weight;
    heap_[found->second].marked += marked ? weight : 0;
    sink(found->second);
    return;
  }
  if (heap_.size() < kept_) {
    const auto fresh = places_.emplace(std::string(key), heap_.size()).first;
    heap_.push_back({fresh->first, tag, weight, 0, marked ? weight : 0});
    rise(heap_.size() - 1);
    return;
  }
  entry& least = heap_.front();
  places_.erase(places_.find(least.key));
  const auto fresh = places_.emplace(std::string(key), 0).first;
  least = {fresh->first, tag, least.count + weight, least.count, marked ? weight : 0};
  sink(0);
}

std::vector<heavy_hitter> heavy_hitters::top(std::size_t count) const {
  std::vector<heavy_hitter> made;
  {
    const std::scoped_lock lock(held_);
    made.reserve(heap_.size());
    for (const entry& one : heap_) {
      made.push_back({std::string(one.key), one.tag, one.count, one.error, one.marked});
    }
  }
  std::ranges::sort(made, [](const heavy_hitter& a, const heavy_hitter& b) {
    return a.count != b.count ? a.count > b.count : a.key < b.key;
  });
  if (made.size() > count) made.resize(count);
  return made;
}

void heavy_hitters::halve() {
  const std::scoped_lock lock(held_);
  // The order of the heap stays as it was.
  for (entry& one : heap_) {
    one.count /= 2;
    one.error /= 2;
    one.marked /= 2;
  }
}

void heavy_hitters::clear() {
  const std::scoped_lock lock(held_);
  heap_.clear();
  places_.clear();
}

void heavy_hitters::swap_places(std::size_t a, std::size_t b) {
  std::swap(heap_[a], heap_[b]);
  places_.find(heap_[a].key)->second = a;
  places_.find(heap_[b].key)->second = b;
}

void heavy_hitters::sink(std::size_t at) {
  while (true) {
    std::size_t least = at;
    for (const std::size_t child : {2 * at + 1, 2 * at + 2}) {
      if (child < heap_.size() && heap_[child].count < heap_[least].count) least = child;
    }
    if (least == at) return;
    swap_places(at, least);
    at = least;
  }
}

void heavy_hitters::rise(std::size_t at) {
  while (at > 0 && heap_[at].count < heap_[(at - 1) / 2].count) {
    swap_places(at, (at - 1) / 2);
    at = (at - 1) / 2;
  }
}

}  // namespace millrace
