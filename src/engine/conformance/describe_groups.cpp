#include "describe_groups.hpp"

#include "describe_events.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace millrace::conformance {

using namespace engine;

namespace {

std::string at(timestamp when, timestamp start) {
  return fmt::format("{}us", (when - start).count());
}

std::string text(const group_info& group, timestamp start) {
  return fmt::format("group '{}' of '{}' since {} behind {}{}, {} pending, {} waiting",
                     group.group.group, group.group.stream.name, at(group.created_at, start),
                     group.place.offset, group.place.epoch == 0 ? " of nothing" : "", group.pending,
                     group.waiting);
}

std::string text(const group_read& read, timestamp start) {
  std::string out = fmt::format(
      "read gap {} missed {} full {} next {} {}", to_string(read.gap), read.missed, read.full,
      read.next_end ? at(*read.next_end, start) : "never", text(read.group, start));
  for (const group_delivery& each : read.events) {
    out += fmt::format("\n    {} for the {}. time '{}' '{}'", each.what.offset, each.deliveries,
                       each.what.type, each.what.payload);
  }
  return out;
}

}  // namespace

std::string describe(const std::vector<lock_info>& holders, timestamp start) {
  std::string out = "holders";
  for (const lock_info& each : holders) out += "\n  " + describe(std::optional(each), start);
  return out;
}

std::string describe(const std::vector<group_info>& groups, timestamp start) {
  std::string out = "groups";
  for (const group_info& each : groups) out += "\n  " + text(each, start);
  return out;
}

std::string describe(const std::vector<pending_delivery>& pending, timestamp start) {
  std::string out = "pending";
  for (const pending_delivery& each : pending) {
    out +=
        fmt::format("\n  {} of '{}' {} times, at {} until {}", each.offset, each.consumer,
                    each.deliveries, at(each.delivered_at, start), at(each.lease_ends_at, start));
  }
  return out;
}

std::optional<std::string> describe_group_outcome(const outcome& outcome, timestamp start) {
  if (const auto* done = std::get_if<fence_passed>(&outcome)) {
    return fmt::format("fence passed, {} before", done->before == 0 ? "none" : "one");
  }
  if (const auto* done = std::get_if<group_changed>(&outcome)) {
    return fmt::format("made {} {}", done->made, text(done->group, start));
  }
  if (const auto* done = std::get_if<group_read>(&outcome)) return text(*done, start);
  if (const auto* done = std::get_if<deliveries_settled>(&outcome)) {
    return fmt::format("settled {}, lost {}, {} pending", done->settled, fmt::join(done->lost, " "),
                       done->pending);
  }
  return std::nullopt;
}

}  // namespace millrace::conformance
