#include "session_codec.hpp"

#include "json_members.hpp"
#include "route_support.hpp"

#include <millrace/base/json.hpp>
#include <millrace/base/json_object.hpp>
#include <millrace/http/job_codec.hpp>

#include <boost/json/object.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

namespace millrace::http {
namespace {

using namespace std::chrono_literals;

template <class Target>
result<void> read_at_most(const json::value& from, Target& into, const field_path& field) {
  return store_in(into.at_most, read_integer(from, 1, engine::user_sessions_max, field));
}

template <class Target>
result<void> read_when_full(const json::value& from, Target& into, const field_path& field) {
  result<std::string> word = read_text(from, field);
  if (!word) return std::unexpected(std::move(word.error()));
  if (*word == "end_oldest") {
    into.beyond = engine::session_overflow::end_oldest;
  } else if (*word == "refuse") {
    into.beyond = engine::session_overflow::refuse;
  } else {
    return invalid(field.text(),
                   fmt::format(R"({} must be "end_oldest" or "refuse".)", field.text()));
  }
  return {};
}

struct create_request {
  engine::create_session step{};
  std::optional<duration> touch_every{};
  std::uint32_t at_most{0};
  engine::session_overflow beyond{engine::session_overflow::end_oldest};
};
using create_rule = member_rule<create_request>;
constexpr std::array create_rules{
    // Read from the raw text, so that its bytes stay as they are.
    create_rule{"data"},
    create_rule{"user",
                [](const json::value& from, create_request& into, const field_path& field) {
                  return store_in(into.step.user, read_text(from, field));
                }},
    create_rule{"label",
                [](const json::value& from, create_request& into, const field_path& field) {
                  return store_in(into.step.label, read_text(from, field));
                }},
    create_rule{"idle",
                [](const json::value& from, create_request& into, const field_path& field) {
                  return store_in(into.step.rules.idle,
                                  read_seconds(from, engine::session_age_max, field));
                }},
    create_rule{"absolute",
                [](const json::value& from, create_request& into, const field_path& field) {
                  return store_in(into.step.rules.absolute,
                                  read_seconds(from, engine::session_age_max, field));
                }},
    create_rule{"touch_every",
                [](const json::value& from, create_request& into, const field_path& field) {
                  return store_in(into.touch_every,
                                  read_seconds(from, engine::session_age_max, field));
                }},
    create_rule{"max_per_user", &read_at_most<create_request>},
    create_rule{"when_full", &read_when_full<create_request>},
};

using change_rule = member_rule<engine::change_session>;
constexpr std::array change_rules{change_rule{"data"}};

constexpr std::array update_rules{
    change_rule{"data"},
    change_rule{"replace",
                [](const json::value& from, engine::change_session& into, const field_path& field) {
                  return store_in(into.replace, read_flag(from, field));
                }},
    change_rule{"if_version",
                [](const json::value& from, engine::change_session& into, const field_path& field) {
                  constexpr std::int64_t version_max = (std::int64_t{1} << 53U) - 1;
                  return store_in(into.if_version, read_integer(from, 1, version_max, field));
                }},
};

using rotate_rule = member_rule<engine::rotate_session>;
constexpr std::array rotate_rules{
    rotate_rule{"data"},
    rotate_rule{"grace",
                [](const json::value& from, engine::rotate_session& into, const field_path& field) {
                  return store_in(into.grace, read_seconds(from, engine::session_grace_max, field));
                }},
    rotate_rule{"user",
                [](const json::value& from, engine::rotate_session& into, const field_path& field) {
                  return store_in(into.user, read_text(from, field));
                }},
    rotate_rule{"max_per_user", &read_at_most<engine::rotate_session>},
    rotate_rule{"when_full", &read_when_full<engine::rotate_session>},
};

// The fields of `data`, each with its bytes; empty where it is not given.
// Requires: `body` has been parsed.
result<std::optional<engine::session_fields>> read_data(std::string_view body) {
  const auto raw = raw_member(body, "data");
  if (!raw || *raw == "null") return std::nullopt;
  if (raw->front() != '{') return invalid("data", "data must be an object: its members are kept.");
  engine::session_fields out;
  for_each_raw_member(*raw, [&out](std::string name, std::string_view value) {
    out.insert_or_assign(std::move(name), std::string(value));
  });
  return out;
}

std::vector<engine::session_change> changes_of(engine::session_fields fields, bool null_removes) {
  std::vector<engine::session_change> out;
  out.reserve(fields.size());
  for (auto& [name, json] : fields) {
    auto& one = out.emplace_back(engine::session_change{.name = name, .json = std::nullopt});
    if (!null_removes || json != "null") one.json = std::move(json);
  }
  return out;
}

// An empty body says nothing, as `{}`.
std::string_view said(std::string_view body) { return body.empty() ? "{}" : body; }

void append_members(std::string& out, const engine::session_info& session) {
  const auto text_or_null = [&out](std::string_view member, std::string_view text) {
    out += member;
    if (text.empty()) {
      out += "null";
    } else {
      append_json_string(out, text);
    }
  };
  fmt::format_to(std::back_inserter(out), R"("ref":{})", session.ref);
  text_or_null(R"(,"user":)", session.user);
  text_or_null(R"(,"label":)", session.label);
  fmt::format_to(std::back_inserter(out), R"(,"version":{},"former":{},"created_at":)",
                 session.version, session.former);
  append_time(out, session.times.created_at);
  out += R"(,"used_at":)";
  append_time(out, session.times.touched_at);
  out += R"(,"expires_at":)";
  append_time(out, session.times.expires_at);
  out += R"(,"ends_at":)";
  std::optional<timestamp> end;
  if (session.rules.absolute > duration{0}) end = session.times.created_at + session.rules.absolute;
  append_time(out, end);
}

}  // namespace

result<engine::create_session> decode_create_session(std::string_view body, std::string project,
                                                     const session_settings& otherwise) {
  create_request asked{.at_most = otherwise.max_per_user, .beyond = otherwise.when_full};
  asked.step.rules = {.idle = otherwise.idle, .absolute = otherwise.absolute};
  if (auto read = read_body<create_request>(said(body), create_rules, asked); !read) {
    return std::unexpected(std::move(read.error()));
  }
  auto data = read_data(said(body));
  if (!data) return std::unexpected(std::move(data.error()));
  engine::create_session& step = asked.step;
  step.key.project = std::move(project);
  if (*data) step.fields = std::move(**data);
  step.rules.touch_every =
      asked.touch_every.value_or(std::min<duration>(60s, step.rules.idle / 10));
  step.at_most = asked.at_most;
  step.beyond = asked.beyond;
  return std::move(step);
}

namespace {

result<engine::change_session> read_change(std::string_view body,
                                           std::span<const change_rule> rules,
                                           engine::change_session step) {
  if (auto read = read_body<engine::change_session>(said(body), rules, step); !read) {
    return std::unexpected(std::move(read.error()));
  }
  auto data = read_data(said(body));
  if (!data) return std::unexpected(std::move(data.error()));
  if (!*data) return invalid("data", R"(data is missing, as in {"data":{"cart":[7]}}.)");
  step.changes = changes_of(std::move(**data), !step.replace);
  return step;
}

}  // namespace

result<engine::change_session> decode_change_session(std::string_view body, std::string project,
                                                     bool replace) {
  return read_change(body, change_rules,
                     {.key = {.project = std::move(project), .hash = {}}, .replace = replace});
}

result<engine::change_session> decode_session_update(std::string_view body, std::string project) {
  return read_change(body, update_rules, {.key = {.project = std::move(project), .hash = {}}});
}

result<engine::rotate_session> decode_rotate_session(std::string_view body, std::string project,
                                                     const session_settings& otherwise) {
  engine::rotate_session step{.at_most = otherwise.max_per_user, .beyond = otherwise.when_full};
  step.key.project = std::move(project);
  if (auto read = read_body<engine::rotate_session>(said(body), rotate_rules, step); !read) {
    return std::unexpected(std::move(read.error()));
  }
  auto data = read_data(said(body));
  if (!data) return std::unexpected(std::move(data.error()));
  if (*data) step.changes = changes_of(std::move(**data), true);
  return step;
}

void append_session(std::string& out, const engine::session_info& session, std::string_view id) {
  out += '{';
  if (!id.empty()) {
    out += R"("id":)";
    append_json_string(out, id);
    out += ',';
  }
  append_members(out, session);
  out += R"(,"data":{)";
  bool first = true;
  for (const auto& [name, json] : session.fields) {
    if (!std::exchange(first, false)) out += ',';
    append_json_string(out, name);
    out.append(1, ':').append(json);
  }
  out += "}}";
}

void append_session_page(std::string& out, const engine::session_page& page) {
  out += R"({"sessions":[)";
  for (const engine::session_info& each : page.items) {
    if (&each != &page.items.front()) out += ',';
    out += '{';
    append_members(out, each);
    out += '}';
  }
  fmt::format_to(std::back_inserter(out), R"(],"count":{})", page.count);
  append_list_end(out, page.cursor);
}

}  // namespace millrace::http
