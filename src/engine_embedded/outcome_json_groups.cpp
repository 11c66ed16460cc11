#include "outcome_json_groups.hpp"

namespace millrace::embedded {
namespace {

json::object group_object(const engine::group_info& group) {
  return {{"group", group.group.group},
          {"of", group.group.stream.name},
          {"project", group.group.stream.project},
          {"created_at", to_micros(group.created_at)},
          {"epoch", group.place.epoch},
          {"offset", group.place.offset},
          {"stamp", group.place.stamp},
          {"pending", group.pending},
          {"waiting", group.waiting}};
}

engine::group_info read_group_info(json_reader& in) {
  engine::group_info out;
  in.take("group", out.group.group);
  in.take("of", out.group.stream.name);
  in.take("project", out.group.stream.project);
  in.take("created_at", out.created_at);
  in.take("epoch", out.place.epoch);
  in.take("offset", out.place.offset);
  in.take("stamp", out.place.stamp);
  in.take("pending", out.pending);
  in.take("waiting", out.waiting);
  return out;
}

json::object delivery_object(const engine::group_delivery& each) {
  return {{"deliveries", each.deliveries},
          {"offset", each.what.offset},
          {"stamp", each.what.stamp},
          {"at", to_micros(each.what.at)},
          {"type", each.what.type},
          {"payload", each.what.payload},
          {"source", each.what.source},
          {"correlation_id", each.what.correlation_id},
          {"id", each.what.id}};
}

engine::group_delivery read_delivery(json_reader& in) {
  engine::group_delivery out;
  in.take("deliveries", out.deliveries);
  in.take("offset", out.what.offset);
  in.take("stamp", out.what.stamp);
  in.take("at", out.what.at);
  in.take("type", out.what.type);
  in.take("payload", out.what.payload);
  in.take("source", out.what.source);
  in.take("correlation_id", out.what.correlation_id);
  in.take("id", out.what.id);
  return out;
}

engine::group_read read_read(json_reader& in) {
  engine::group_read out;
  in.take("gap", out.gap);
  in.take("missed", out.missed);
  in.take("full", out.full);
  in.take("next_end", out.next_end);
  in.take("now", out.now);
  out.group = read_group_info(in);
  const json::array* events = in.array("deliveries");
  if (events == nullptr) return out;
  for (const json::value& each : *events) {
    if (!each.is_object()) {
      in.fail();
      break;
    }
    json_reader one(each.get_object());
    out.events.push_back(read_delivery(one));
    if (one.failed()) in.fail();
  }
  return out;
}

engine::deliveries_settled read_settled(json_reader& in) {
  engine::deliveries_settled out;
  in.take("settled", out.settled);
  in.take("pending", out.pending);
  const json::array* lost = in.array("lost");
  if (lost == nullptr) return out;
  for (const json::value& each : *lost) {
    if (const std::int64_t* offset = each.if_int64()) {
      out.lost.push_back(static_cast<std::uint64_t>(*offset));
    } else {
      in.fail();
    }
  }
  return out;
}

}  // namespace

json::object to_object(const engine::fence_passed& what) { return {{"fence_before", what.before}}; }

json::object to_object(const engine::group_changed& what) {
  json::object out = group_object(what.group);
  out["group_made"] = what.made;
  return out;
}

json::object to_object(const engine::group_read& what) {
  json::object out = group_object(what.group);
  out["missed"] = what.missed;
  out["gap"] = static_cast<int>(what.gap);
  out["full"] = what.full;
  out["now"] = to_micros(what.now);
  if (what.next_end) out["next_end"] = to_micros(*what.next_end);
  json::array events;
  for (const engine::group_delivery& each : what.events) events.push_back(delivery_object(each));
  out["deliveries"] = std::move(events);
  return out;
}

json::object to_object(const engine::deliveries_settled& what) {
  json::array lost;
  for (const std::uint64_t each : what.lost) lost.push_back(static_cast<std::int64_t>(each));
  return {{"settled", what.settled}, {"pending", what.pending}, {"lost", std::move(lost)}};
}

std::optional<engine::outcome> read_group_outcome(const json::object& from, json_reader& in) {
  if (from.contains("fence_before")) {
    engine::fence_passed out;
    in.take("fence_before", out.before);
    return out;
  }
  if (from.contains("group_made")) {
    engine::group_changed out;
    in.take("group_made", out.made);
    out.group = read_group_info(in);
    return out;
  }
  if (from.contains("missed")) return read_read(in);
  if (from.contains("settled")) return read_settled(in);
  return std::nullopt;
}

}  // namespace millrace::embedded
