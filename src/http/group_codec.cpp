#include "group_codec.hpp"

#include "json_members.hpp"

#include <millrace/base/json.hpp>
#include <millrace/engine/limits.hpp>
#include <millrace/events/consumers.hpp>
#include <millrace/http/job_codec.hpp>

#include <boost/json/array.hpp>
#include <fmt/format.h>

#include <array>
#include <iterator>
#include <utility>

namespace millrace::http {
namespace {

constexpr std::int64_t offset_max = (std::int64_t{1} << 53U) - 1;

result<void> read_from(const json::value& from, event_position& into, const field_path& field) {
  const result<std::string> text = read_text(from, field);
  if (!text) return std::unexpected(text.error());
  return store_in(into, parse_event_position(*text, field.text()));
}

using read_rule = member_rule<group_read_request>;
constexpr std::array read_rules{
    read_rule{"group",
              [](const json::value& from, group_read_request& into, const field_path& field) {
                return store_in(into.step.group.group, read_text(from, field));
              }},
    read_rule{"consumer",
              [](const json::value& from, group_read_request& into, const field_path& field) {
                return store_in(into.step.consumer, read_text(from, field));
              }},
    read_rule{"max",
              [](const json::value& from, group_read_request& into, const field_path& field) {
                return store_in(into.step.max,
                                read_integer(from, 1, engine::page_items_max, field));
              }},
    read_rule{"wait",
              [](const json::value& from, group_read_request& into, const field_path& field) {
                return store_in(into.wait, read_seconds(from, read_wait_max, field));
              }},
    read_rule{"lease",
              [](const json::value& from, group_read_request& into, const field_path& field) {
                return store_in(into.step.lease, read_seconds(from, engine::lease_max, field));
              }},
    read_rule{"from", [](const json::value& from, group_read_request& into,
                         const field_path& field) { return read_from(from, into.from, field); }},
};

result<void> read_offsets(const json::value& from, std::vector<std::uint64_t>& into,
                          const field_path& field) {
  const json::array* items = from.if_array();
  if (items == nullptr) {
    return invalid(field.text(), fmt::format("{} must be an array of offsets.", field.text()));
  }
  if (items->size() > engine::page_items_max) {
    return fail(errc::too_large, "too_many_items",
                fmt::format("{} has {} entries: at most {} are allowed.", field.text(),
                            items->size(), engine::page_items_max),
                field.text());
  }
  for (const json::value& each : *items) {
    const auto offset = read_integer(each, 1, offset_max, field);
    if (!offset) return std::unexpected(offset.error());
    into.push_back(static_cast<std::uint64_t>(*offset));
  }
  return {};
}

using settle_rule = member_rule<engine::settle_deliveries>;
constexpr std::array settle_rules{
    settle_rule{
        "lease",
        [](const json::value& from, engine::settle_deliveries& into, const field_path& field) {
          return store_in(into.lease, read_seconds(from, engine::lease_max, field));
        }},
    settle_rule{
        "group",
        [](const json::value& from, engine::settle_deliveries& into, const field_path& field) {
          return store_in(into.group.group, read_text(from, field));
        }},
    settle_rule{
        "consumer",
        [](const json::value& from, engine::settle_deliveries& into, const field_path& field) {
          return store_in(into.consumer, read_text(from, field));
        }},
    settle_rule{"offsets",
                [](const json::value& from, engine::settle_deliveries& into,
                   const field_path& field) { return read_offsets(from, into.offsets, field); }},
    settle_rule{"all",
                [](const json::value& from, engine::settle_deliveries& into,
                   const field_path& field) { return store_in(into.all, read_flag(from, field)); }},
};

using group_rule = member_rule<group_request>;
constexpr std::array group_rules{
    group_rule{"from", [](const json::value& from, group_request& into,
                          const field_path& field) { return read_from(from, into.from, field); }},
    group_rule{"move",
               [](const json::value& from, group_request& into, const field_path& field) {
                 return store_in(into.move, read_flag(from, field));
               }},
};

void append_text(std::string& out, std::string_view member, std::string_view text) {
  out += member;
  append_json_string(out, text);
}

void append_group_members(std::string& out, const engine::group_info& what) {
  append_text(out, R"("group":)", what.group.group);
  append_text(out, R"(,"stream":)", what.group.stream.name);
  fmt::format_to(std::back_inserter(out),
                 R"(,"offset":{},"cursor":"{}","pending":{},"waiting":{},"created_at":)",
                 what.place.offset, what.place.text(), what.pending, what.waiting);
  append_time(out, what.created_at);
}

}  // namespace

result<group_read_request> decode_group_read(std::string_view body, engine::stream_key stream) {
  group_read_request out;
  out.step.group.stream = std::move(stream);
  result<void> read = read_body<group_read_request>(body, read_rules, out);
  if (!read) return std::unexpected(std::move(read.error()));
  if (out.step.group.group.empty()) {
    return invalid("group", "group is missing: name the group that reads.");
  }
  return out;
}

result<engine::settle_deliveries> decode_settle(std::string_view body, engine::stream_key stream,
                                                engine::settle_deliveries::verdict what, bool all) {
  engine::settle_deliveries out{.group = {.stream = std::move(stream), .group = {}},
                                .consumer = {},
                                .offsets = {},
                                .what = what};
  out.all = all;
  const bool has_lease = what == engine::settle_deliveries::verdict::extend;
  result<void> read = read_body<engine::settle_deliveries>(
      body, std::span{settle_rules}.subspan(has_lease ? 0 : 1), out);
  if (!read) return std::unexpected(std::move(read.error()));
  if (out.group.group.empty()) {
    return invalid("group", "group is missing: name the group that has read.");
  }
  return out;
}

result<group_request> decode_group(std::string_view body) {
  group_request out;
  result<void> read = read_body<group_request>(body, group_rules, out);
  if (!read) return std::unexpected(std::move(read.error()));
  return out;
}

void append_group(std::string& out, const engine::group_info& what) {
  out += '{';
  append_group_members(out, what);
  out += '}';
}

void append_group_read(std::string& out, const engine::group_read& what) {
  out += R"({"events":[)";
  for (const engine::group_delivery& each : what.events) {
    if (&each != &what.events.front()) out += ',';
    append_event_json(out, what.group.group.stream, what.group.place.epoch, each.what);
    out.back() = ',';
    fmt::format_to(std::back_inserter(out), R"("deliveries":{}}})", each.deliveries);
  }
  out += R"(],"gap":)";
  if (what.gap == engine::gap_reason::none) {
    out += "null";
  } else {
    fmt::format_to(std::back_inserter(out), R"({{"reason":"{}","missed":{}}})", to_string(what.gap),
                   what.missed);
  }
  out += what.full ? R"(,"full":true,"next_lease_ends_at":)"
                   : R"(,"full":false,"next_lease_ends_at":)";
  append_time(out, what.next_end);
  out += ',';
  append_group_members(out, what.group);
  out += '}';
}

void append_settled(std::string& out, const engine::deliveries_settled& what) {
  fmt::format_to(std::back_inserter(out), R"({{"settled":{},"lost":[)", what.settled);
  for (std::size_t i = 0; i < what.lost.size(); ++i) {
    fmt::format_to(std::back_inserter(out), "{}{}", i == 0 ? "" : ",", what.lost[i]);
  }
  fmt::format_to(std::back_inserter(out), R"(],"pending":{}}})", what.pending);
}

void append_pending(std::string& out, const std::vector<engine::pending_delivery>& what) {
  for (const engine::pending_delivery& each : what) {
    if (&each != &what.front()) out += ',';
    fmt::format_to(std::back_inserter(out), R"({{"offset":{},"deliveries":{},"consumer":)",
                   each.offset, each.deliveries);
    append_json_string(out, each.consumer);
    out += R"(,"delivered_at":)";
    append_time(out, each.delivered_at);
    out += R"(,"lease_ends_at":)";
    append_time(out, each.lease_ends_at);
    out += '}';
  }
}

}  // namespace millrace::http
