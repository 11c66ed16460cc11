#include "describe.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <functional>

namespace millrace::conformance {

using namespace engine;

void describer::note_cache_stamp(std::uint64_t stamp, std::vector<std::uint64_t>& into) {
  if (token_numbers_.contains(stamp)) return;
  if (stamp <= last_cache_stamp_) offend("a version or lease of the cache does not grow");
  last_cache_stamp_ = stamp;
  into.push_back(stamp);
}

std::string describer::text(const cache_entry& entry) {
  return fmt::format("{} bytes {:x} of '{}' version {} tags {} created {} expires {} until {}{}",
                     entry.value.size(), std::hash<std::string>{}(entry.value), entry.content_type,
                     name_of(entry.version), fmt::join(entry.tags, ","), at(entry.created_at),
                     at(entry.expires_at), at(entry.stale_until), entry.stale ? " stale" : "");
}

std::string describer::text(const cache_stored& done) {
  note_cache_stamp(done.version, cache_versions_);
  return fmt::format("stored {} created {} expires {}", name_of(done.version), at(done.created_at),
                     at(done.expires_at));
}

std::string describer::text(const cache_claimed& done) {
  if (done.lease != 0) note_cache_stamp(done.lease, cache_leases_);
  return fmt::format("claimed {} {} until {} with {}", static_cast<int>(done.state),
                     name_of(done.lease), at(done.until),
                     done.found ? text(*done.found) : "nothing");
}

std::string describer::text(const read_cache::found& found) {
  std::string out;
  for (const auto& entry : found.entries) out += "\n  " + (entry ? text(*entry) : "nothing");
  return out;
}

std::string describer::text(const read_cache_stats::numbers& numbers) {
  return fmt::format("{} entries of {} bytes, {} claims", numbers.entries, numbers.bytes,
                     numbers.claims);
}

}  // namespace millrace::conformance
