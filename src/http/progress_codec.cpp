#include "progress_codec.hpp"

#include "json_members.hpp"

#include <millrace/base/json.hpp>
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

template <class Target>
result<void> read_ttl(const json::value& from, Target& into, const field_path& field) {
  return store_in(into.ttl, read_seconds(from, engine::live_ttl_max, field));
}

result<void> read_status(const json::value& from, engine::put_progress& into,
                         const field_path& field) {
  const json::string* text = from.if_string();
  if (text != nullptr) into.status = engine::parse_progress_status(std::string_view{*text});
  if (into.status) return {};
  return invalid(field.text(),
                 fmt::format(R"({} must be "running", "completed" or "failed".)", field.text()));
}

using progress_rule = member_rule<engine::put_progress>;
constexpr std::array progress_rules{
    progress_rule{"total_steps",
                  [](const json::value& from, engine::put_progress& into, const field_path& field) {
                    auto read = read_integer(from, 1, engine::progress_steps_max, field);
                    if (read) into.total_steps = static_cast<std::uint32_t>(*read);
                    return read ? result<void>{} : std::unexpected(std::move(read.error()));
                  }},
    progress_rule{"step",
                  [](const json::value& from, engine::put_progress& into, const field_path& field) {
                    auto read = read_integer(from, 0, engine::progress_steps_max, field);
                    if (read) into.step = static_cast<std::uint32_t>(*read);
                    return read ? result<void>{} : std::unexpected(std::move(read.error()));
                  }},
    progress_rule{"message",
                  [](const json::value& from, engine::put_progress& into, const field_path& field) {
                    return store_in(into.message, read_text(from, field));
                  }},
    progress_rule{"status", &read_status},
    progress_rule{"ttl", &read_ttl<engine::put_progress>},
};

using agent_rule = member_rule<engine::put_agent>;
constexpr std::array agent_rules{
    agent_rule{"details"},
    agent_rule{"progress",
               [](const json::value& from, engine::put_agent& into, const field_path& field) {
                 return store_in(into.what.progress, read_number(from, 0, 1, field));
               }},
    agent_rule{"status",
               [](const json::value& from, engine::put_agent& into, const field_path& field) {
                 return store_in(into.what.status, read_text(from, field));
               }},
    agent_rule{"ttl", &read_ttl<engine::put_agent>},
};

using connection_rule = member_rule<engine::put_connection>;
constexpr std::array connection_rules{
    connection_rule{
        "flow_id",
        [](const json::value& from, engine::put_connection& into, const field_path& field) {
          return store_in(into.what.flow_id, read_text(from, field));
        }},
    connection_rule{
        "user",
        [](const json::value& from, engine::put_connection& into, const field_path& field) {
          return store_in(into.what.user, read_text(from, field));
        }},
    connection_rule{
        "server",
        [](const json::value& from, engine::put_connection& into, const field_path& field) {
          return store_in(into.what.server, read_text(from, field));
        }},
    connection_rule{"ttl", &read_ttl<engine::put_connection>},
};

void append_text(std::string& out, std::string_view member, std::string_view text) {
  out += member;
  append_json_string(out, text);
}

void append_text_or_null(std::string& out, std::string_view member, std::string_view text) {
  if (!text.empty()) return append_text(out, member, text);
  out.append(member).append("null");
}

void append_moment(std::string& out, std::string_view member, const std::optional<timestamp>& at) {
  out += member;
  append_time(out, at);
}

}  // namespace

result<engine::put_progress> decode_put_progress(std::string_view body, std::string project,
                                                 std::string correlation_id) {
  engine::put_progress out{.project = std::move(project),
                           .correlation_id = std::move(correlation_id)};
  result<void> read = read_body<engine::put_progress>(body, progress_rules, out);
  if (!read) return std::unexpected(std::move(read.error()));
  return out;
}

void append_progress_entry(std::string& out, const engine::progress_entry& what) {
  append_text(out, R"({"correlation_id":)", what.correlation_id);
  fmt::format_to(std::back_inserter(out), R"(,"status":"{}","total_steps":{},"current_step":{})",
                 engine::to_string(what.status), what.total_steps, what.current_step);
  append_text(out, R"(,"message":)", what.message);
  append_moment(out, R"(,"started_at":)", what.started_at);
  append_moment(out, R"(,"updated_at":)", what.updated_at);
  append_moment(out, R"(,"estimated_completion":)", engine::estimated_completion(what));
  append_moment(out, R"(,"expires_at":)", what.expires_at);
  out += R"(,"steps":[)";
  for (const engine::progress_mark& each : what.marks) {
    if (&each != &what.marks.front()) out += ',';
    fmt::format_to(std::back_inserter(out), R"({{"step":{})", each.step);
    append_moment(out, R"(,"at":)", each.at);
    append_text(out, R"(,"message":)", each.message);
    out += '}';
  }
  out += "]}";
}

result<engine::put_agent> decode_agent(std::string_view body, std::string project,
                                       std::string flow_id, std::string agent) {
  engine::put_agent out{.project = std::move(project), .flow_id = std::move(flow_id), .what = {}};
  out.what.agent = std::move(agent);
  result<void> read = read_body<engine::put_agent>(body, agent_rules, out);
  if (!read) return std::unexpected(std::move(read.error()));
  if (body.empty()) return out;
  result<std::string> details = read_raw(body, "details");
  if (!details) return std::unexpected(std::move(details.error()));
  if (!details->empty()) out.what.details = std::move(*details);
  return out;
}

void append_agent(std::string& out, const engine::agent_progress& what) {
  append_text(out, R"({"agent":)", what.agent);
  out += R"(,"progress":)";
  append_number(out, what.progress);
  append_text(out, R"(,"status":)", what.status);
  out += R"(,"details":)";
  const std::size_t begin = out.size();
  out += what.details;
  // Line breaks in JSON stand between its parts, never inside a string.
  std::replace_if(
      out.begin() + static_cast<std::ptrdiff_t>(begin), out.end(),
      [](char c) { return c == '\n' || c == '\r'; }, ' ');
  append_moment(out, R"(,"updated_at":)", what.updated_at);
  out += '}';
}

result<engine::put_connection> decode_connection(std::string_view body, std::string project,
                                                 std::string id) {
  engine::put_connection out{.project = std::move(project), .what = {}};
  out.what.id = std::move(id);
  result<void> read = read_body<engine::put_connection>(body, connection_rules, out);
  if (!read) return std::unexpected(std::move(read.error()));
  return out;
}

void append_connection(std::string& out, const engine::live_connection& what) {
  append_text(out, R"({"id":)", what.id);
  append_text_or_null(out, R"(,"flow_id":)", what.flow_id);
  append_text_or_null(out, R"(,"user":)", what.user);
  append_text_or_null(out, R"(,"server":)", what.server);
  append_moment(out, R"(,"connected_at":)", what.connected_at);
  append_moment(out, R"(,"seen_at":)", what.seen_at);
  out += '}';
}

}  // namespace millrace::http
