#include "group_codec.hpp"

#include "event_codec.hpp"
#include "job_codec.hpp"

#include <millrace/engine/limits.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace millrace::engine_redis {
namespace {

std::uint64_t natural(unpacker& in) { return static_cast<std::uint64_t>(in.integer()); }
std::uint32_t small(unpacker& in) { return static_cast<std::uint32_t>(in.integer()); }

packer& begin(packer& out, int number, const engine::group_key& key) {
  return out.add(number).add(key.stream.project).add(key.stream.name).add(key.group);
}

void pack_start(packer& out, const engine::group_start& start) {
  out.add(std::to_underlying(start.at)).add(start.cursor.epoch).add(start.cursor.offset);
  out.add(start.cursor.stamp);
}

engine::group_info unpack_group(unpacker& in) {
  engine::group_info out;
  out.group.stream.project = in.text();
  out.group.stream.name = in.text();
  out.group.group = in.text();
  out.created_at = unpack_time(in);
  out.place.epoch = natural(in);
  out.place.offset = natural(in);
  out.place.stamp = natural(in);
  out.pending = small(in);
  out.waiting = natural(in);
  return out;
}

engine::group_read unpack_read(unpacker& in) {
  engine::group_read out;
  out.gap = static_cast<engine::gap_reason>(in.integer());
  out.missed = natural(in);
  out.full = in.boolean();
  out.next_end = maybe_time(in);
  out.now = unpack_time(in);
  out.group = unpack_group(in);
  for (std::int64_t left = in.integer(); left > 0 && !in.failed(); --left) {
    engine::group_delivery& each = out.events.emplace_back();
    each.deliveries = small(in);
    each.what = unpack_event(in);
  }
  return out;
}

engine::deliveries_settled unpack_settled(unpacker& in) {
  engine::deliveries_settled out;
  out.settled = small(in);
  out.pending = small(in);
  for (std::int64_t left = in.integer(); left > 0 && !in.failed(); --left) {
    out.lost.push_back(natural(in));
  }
  return out;
}

}  // namespace

void pack_step(packer& out, const engine::put_group& step) {
  pack_start(begin(out, 70, step.group).add(step.move), step.start);
}

void pack_step(packer& out, const engine::delete_group& step) { begin(out, 71, step.group); }

void pack_step(packer& out, const engine::read_group& step) {
  begin(out, 72, step.group).add(step.consumer).add(step.max).add(step.lease.count());
  pack_start(out, step.start);
}

void pack_step(packer& out, const engine::settle_deliveries& step) {
  packer offsets;
  for (const std::uint64_t each : step.offsets) offsets.add(each);
  begin(out, 73, step.group).add(step.consumer).add(std::to_underlying(step.what));
  out.add(step.lease.count()).add(step.all).add(step.offsets.size()).add(offsets.take());
}

void pack_query(packer& out, const engine::list_groups& what) {
  out.add(70).add(what.stream.project).add(what.stream.name);
}

void pack_query(packer& out, const engine::list_pending& what) {
  begin(out, 71, what.group).add(what.after);
  out.add(std::clamp<std::uint32_t>(what.limit, 1, engine::page_items_max));
}

std::optional<engine::outcome> unpack_group_outcome(std::string_view kind, unpacker& in) {
  if (kind == "eg") {
    engine::group_changed out;
    out.made = in.boolean();
    out.group = unpack_group(in);
    return out;
  }
  if (kind == "er") return unpack_read(in);
  if (kind == "es") return unpack_settled(in);
  return std::nullopt;
}

std::vector<engine::group_info> unpack_answer(const engine::list_groups&, unpacker& in) {
  std::vector<engine::group_info> out;
  for (std::int64_t left = in.integer(); left > 0 && !in.failed(); --left) {
    out.push_back(unpack_group(in));
  }
  return out;
}

std::vector<engine::pending_delivery> unpack_answer(const engine::list_pending&, unpacker& in) {
  std::vector<engine::pending_delivery> out;
  for (std::int64_t left = in.integer(); left > 0 && !in.failed(); --left) {
    engine::pending_delivery& each = out.emplace_back();
    each.offset = natural(in);
    each.consumer = in.text();
    each.deliveries = small(in);
    each.delivered_at = unpack_time(in);
    each.lease_ends_at = unpack_time(in);
  }
  return out;
}

}  // namespace millrace::engine_redis
