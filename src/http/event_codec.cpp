#include "event_codec.hpp"

#include "json_members.hpp"

#include <millrace/base/json.hpp>
#include <millrace/base/text_time.hpp>
#include <millrace/engine/limits.hpp>
#include <millrace/http/job_codec.hpp>

#include <boost/json/object.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

namespace millrace::http {
namespace {

using publish_rule = member_rule<publish_request>;
constexpr std::array publish_rules{
    publish_rule{"payload"},
    publish_rule{"type",
                 [](const json::value& from, publish_request& into, const field_path& field) {
                   return store_in(into.step.what.type, read_text(from, field));
                 }},
    publish_rule{"source",
                 [](const json::value& from, publish_request& into, const field_path& field) {
                   return store_in(into.step.what.source, read_text(from, field));
                 }},
    publish_rule{"correlation_id",
                 [](const json::value& from, publish_request& into, const field_path& field) {
                   return store_in(into.step.what.correlation_id, read_text(from, field));
                 }},
    publish_rule{"id",
                 [](const json::value& from, publish_request& into, const field_path& field) {
                   return store_in(into.step.what.id, read_text(from, field));
                 }},
    publish_rule{"timestamp",
                 [](const json::value&, publish_request&, const field_path& field) -> result<void> {
                   return invalid(field.text(),
                                  "timestamp is the store's to give: put a time of your own into "
                                  "the payload.");
                 }},
    publish_rule{"durability",
                 [](const json::value& from, publish_request& into, const field_path& field) {
                   return store_in(into.level, read_durability(from, field));
                 }},
};

constexpr double count_max = static_cast<double>(engine::event_count_max);
constexpr double bytes_max = static_cast<double>(engine::event_bytes_max);

using keep_rule = member_rule<engine::event_retention>;
constexpr std::array keep_rules{
    keep_rule{"count",
              [](const json::value& from, engine::event_retention& into, const field_path& field) {
                return store_in(into.count,
                                read_integer(from, 1, static_cast<std::int64_t>(count_max), field));
              }},
    keep_rule{"age",
              [](const json::value& from, engine::event_retention& into, const field_path& field) {
                return store_in(into.age, read_seconds(from, engine::event_age_max, field));
              }},
    keep_rule{"bytes",
              [](const json::value& from, engine::event_retention& into, const field_path& field) {
                return store_in(into.bytes,
                                read_integer(from, 1, static_cast<std::int64_t>(bytes_max), field));
              }},
};

void append_member(std::string& out, std::string_view member, std::string_view text) {
  out += member;
  append_json_string(out, text);
}

void append_text_or_null(std::string& out, std::string_view member, std::string_view text) {
  if (!text.empty()) return append_member(out, member, text);
  out.append(member).append("null");
}

}  // namespace

result<publish_request> decode_publish(std::string_view body, engine::stream_key stream) {
  const std::string_view text = body.empty() ? std::string_view{"{}"} : body;
  const result<json::value> parsed = parse_json(text);
  if (!parsed) return std::unexpected(parsed.error());
  publish_request out{.step = {.stream = std::move(stream), .what = {}}, .level = {}};
  result<void> read = read_members<publish_request>(*parsed, publish_rules, out, {});
  if (!read) return std::unexpected(std::move(read.error()));
  if (out.step.what.type.empty()) {
    return invalid("type", "type is missing: say what kind of event it is.");
  }
  result<std::string> payload = read_raw(text, "payload");
  if (!payload) return std::unexpected(std::move(payload.error()));
  if (!payload->empty()) out.step.what.payload = std::move(*payload);
  return out;
}

result<engine::configure_stream> decode_stream_settings(std::string_view body,
                                                        engine::stream_key stream) {
  const result<json::value> parsed = parse_json(body.empty() ? std::string_view{"{}"} : body);
  if (!parsed) return std::unexpected(parsed.error());
  engine::configure_stream out{.stream = std::move(stream), .retention = {}};
  result<void> read = read_members<engine::event_retention>(*parsed, keep_rules, out.retention, {});
  if (!read) return std::unexpected(std::move(read.error()));
  return out;
}

void append_event_json(std::string& out, const engine::stream_key& stream, std::uint64_t epoch,
                       const engine::event& what) {
  const engine::event_cursor place{epoch, what.offset, what.stamp};
  append_member(out, R"({"stream":)", stream.name);
  fmt::format_to(std::back_inserter(out), R"(,"offset":{},"cursor":"{}")", what.offset,
                 place.text());
  append_member(out, R"(,"type":)", what.type);
  out += R"(,"payload":)";
  const std::size_t begin = out.size();
  out += what.payload;
  // Line breaks in JSON stand between its parts, never inside a string, so that a space says the
  // same.
  std::replace_if(
      out.begin() + static_cast<std::ptrdiff_t>(begin), out.end(),
      [](char c) { return c == '\n' || c == '\r'; }, ' ');
  out += R"(,"timestamp":)";
  append_time(out, what.at);
  append_text_or_null(out, R"(,"source":)", what.source);
  append_text_or_null(out, R"(,"correlation_id":)", what.correlation_id);
  append_text_or_null(out, R"(,"id":)", what.id);
  out += '}';
}

void append_published(std::string& out, const engine::stream_key& stream,
                      const engine::event_published& what) {
  append_member(out, R"({"stream":)", stream.name);
  fmt::format_to(std::back_inserter(out), R"(,"offset":{},"cursor":"{}","timestamp":)",
                 what.place.offset, what.place.text());
  append_time(out, what.at);
  out += what.duplicate ? R"(,"duplicate":true)" : R"(,"duplicate":false)";
}

void append_stream(std::string& out, const engine::stream_info& what) {
  append_member(out, R"({"stream":)", what.stream.name);
  fmt::format_to(std::back_inserter(out),
                 R"(,"first":{},"last":{},"events":{},"event_bytes":{},"cursor":"{}","last_at":)",
                 what.first, what.last, what.count(), what.bytes, what.end().text());
  append_time(out, what.last_at);
  fmt::format_to(std::back_inserter(out), R"(,"keep":{{"count":{},"age":{},"bytes":{}}}}})",
                 what.retention.count, to_seconds(what.retention.age), what.retention.bytes);
}

void append_gap(std::string& out, const engine::stream_key& stream,
                const engine::event_cursor& asked, const engine::read_events::page& page) {
  append_member(out, R"({"stream":)", stream.name);
  fmt::format_to(std::back_inserter(out), R"(,"reason":"{}","cursor":"{}","continues_at":)",
                 to_string(page.gap), asked.text());
  if (page.events.empty()) {
    out += "null}";
  } else {
    fmt::format_to(std::back_inserter(out), "{}}}", page.events.front().offset);
  }
}

result<event_position> parse_event_position(std::string_view text, std::string_view field) {
  event_position out;
  if (text == "latest") {
    out.latest = true;
    return out;
  }
  if (text == "earliest") return out;
  out.cursor = engine::event_cursor::parse(text);
  if (out.cursor) return out;
  const result<timestamp> at = parse_rfc3339(text, field);
  if (!at) {
    return fail(errc::malformed, "bad_cursor",
                fmt::format("{} is no position: it is earliest, latest, a time, or the cursor of "
                            "an event.",
                            field),
                std::string{field});
  }
  out.at = *at;
  return out;
}

}  // namespace millrace::http
