#include "queue_state.hpp"

#include <millrace/engine/limits.hpp>

#include <algorithm>

namespace millrace::embedded {

void ended_list::add(entry what) {
  if (entries_.empty() || entries_.back() < what) {
    entries_.push_back(what);
    return;
  }
  entries_.insert(std::ranges::lower_bound(entries_, what), what);
}

void ended_list::sort() {
  if (!std::ranges::is_sorted(entries_)) std::ranges::sort(entries_);
}

bool ended_list::remove(entry what) {
  if (!entries_.empty() && entries_.front() == what) {
    entries_.pop_front();
    return true;
  }
  const auto at = std::ranges::lower_bound(entries_, what);
  if (at == entries_.end() || *at != what) return false;
  entries_.erase(at);
  return true;
}

void failure_causes::add(const std::string& fingerprint, std::string_view error) {
  const bool room = causes_.size() < engine::fingerprints_max || causes_.contains(fingerprint);
  cause& counted = causes_[room ? fingerprint : "other"];
  if (counted.count++ == 0) counted.sample = error;
}

void failure_causes::remove(const std::string& fingerprint) {
  auto at = causes_.find(fingerprint);
  if (at == causes_.end()) at = causes_.find("other");
  if (at == causes_.end()) return;
  if (--at->second.count == 0) causes_.erase(at);
}

std::vector<engine::error_count> failure_causes::top(std::size_t count) const {
  std::vector<engine::error_count> out;
  out.reserve(causes_.size());
  for (const auto& [fingerprint, counted] : causes_) {
    out.push_back({.fingerprint = fingerprint, .count = counted.count});
  }
  const auto order = [](const engine::error_count& a, const engine::error_count& b) {
    return a.count != b.count ? a.count > b.count : a.fingerprint < b.fingerprint;
  };
  const auto middle = out.begin() + static_cast<std::ptrdiff_t>(std::min(count, out.size()));
  std::ranges::partial_sort(out, middle, order);
  out.erase(middle, out.end());
  for (engine::error_count& each : out) each.sample = causes_.at(each.fingerprint).sample;
  return out;
}

void minute_counts::add(timestamp at, field what) {
  const timestamp minute = std::chrono::floor<std::chrono::minutes>(at);
  const auto place = std::ranges::lower_bound(minutes_, minute, {}, &engine::minute_count::minute);
  if (place != minutes_.end() && place->minute == minute) {
    ++((*place).*what);
    return;
  }
  engine::minute_count fresh{.minute = minute};
  ++(fresh.*what);
  minutes_.insert(place, fresh);
  std::erase_if(minutes_, [last = minutes_.back().minute](const engine::minute_count& each) {
    return each.minute < last - std::chrono::hours{1};
  });
}

void minute_counts::take_back(timestamp at, field what, std::uint64_t times) {
  const timestamp minute = std::chrono::floor<std::chrono::minutes>(at);
  const auto place = std::ranges::lower_bound(minutes_, minute, {}, &engine::minute_count::minute);
  if (place == minutes_.end() || place->minute != minute) return;
  (*place).*what -= times;
  if (place->enqueued + place->completed + place->failed + place->dead == 0) minutes_.erase(place);
}

std::vector<engine::minute_count> minute_counts::recent(timestamp now) const {
  const timestamp first = std::chrono::floor<std::chrono::minutes>(now) - std::chrono::minutes{59};
  std::vector<engine::minute_count> out;
  for (const engine::minute_count& each : minutes_) {
    if (each.minute >= first) out.push_back(each);
  }
  return out;
}

}  // namespace millrace::embedded
