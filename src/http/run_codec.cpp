#include "json_members.hpp"

#include <millrace/base/json.hpp>
#include <millrace/engine/limits.hpp>
#include <millrace/http/job_codec.hpp>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <array>
#include <optional>
#include <utility>

namespace millrace::http {
namespace {

constexpr std::int64_t token_max = (std::int64_t{1} << 53) - 1;

// A step as its members are read. What is raw or addresses the job stands beside it.
template <class Step>
struct reading {
  Step step;
  bool has_token{false};
};

template <class Step>
result<void> read_token(const json::value& from, reading<Step>& into, const field_path& field) {
  into.has_token = true;
  return store_in(into.step.token, read_integer(from, 1, token_max, field));
}

using ack_reading = reading<engine::ack_job>;
constexpr std::array ack_rules{
    member_rule<ack_reading>{"id"},
    member_rule<ack_reading>{"token", &read_token<engine::ack_job>, true},
    member_rule<ack_reading>{"result"},
};

using fail_reading = reading<engine::fail_job>;
constexpr std::array fail_rules{
    member_rule<fail_reading>{"token", &read_token<engine::fail_job>, true},
    member_rule<fail_reading>{
        "error",
        [](const json::value& from, fail_reading& into, const field_path& field) {
          return store_in(into.step.error, read_text(from, field));
        }},
    member_rule<fail_reading>{
        "permanent",
        [](const json::value& from, fail_reading& into, const field_path& field) {
          return store_in(into.step.permanent, read_flag(from, field));
        }},
    member_rule<fail_reading>{
        "retry_in",
        [](const json::value& from, fail_reading& into, const field_path& field) {
          return store_in(into.step.retry_in, read_seconds(from, engine::delay_max, field));
        }},
};

using extend_reading = reading<engine::extend_lease>;
constexpr std::array extend_rules{
    member_rule<extend_reading>{"id"},
    member_rule<extend_reading>{"token", &read_token<engine::extend_lease>, true},
    member_rule<extend_reading>{
        "lease",
        [](const json::value& from, extend_reading& into, const field_path& field) {
          return store_in(into.step.lease, read_lease(from, field));
        }},
    member_rule<extend_reading>{"checkpoint"},
};

using snooze_reading = reading<engine::snooze_job>;
constexpr std::array snooze_rules{
    member_rule<snooze_reading>{"token", &read_token<engine::snooze_job>, true},
    member_rule<snooze_reading>{
        "delay",
        [](const json::value& from, snooze_reading& into, const field_path& field) {
          return store_in(into.step.delay, read_seconds(from, engine::delay_max, field));
        }},
};

result<std::vector<std::string>> read_log(const json::value& from, const field_path& field) {
  const json::array* lines = from.if_array();
  const auto refuse = [&field](std::string_view what) {
    return invalid(field.text(), fmt::format("{} must be an array of {}.", field.text(), what));
  };
  if (lines == nullptr) return refuse("strings");
  if (lines->size() > engine::log_lines_max) {
    return refuse(fmt::format("at most {} lines", engine::log_lines_max));
  }
  std::vector<std::string> read;
  for (const json::value& line : *lines) {
    const json::string* text = line.if_string();
    if (text == nullptr) return refuse("strings");
    if (text->size() > engine::log_line_bytes_max) {
      return refuse(fmt::format("lines of at most {} bytes", engine::log_line_bytes_max));
    }
    read.emplace_back(text->data(), text->size());
  }
  return read;
}

using progress_reading = reading<engine::report_progress>;
result<void> read_progress_value(const json::value& from, progress_reading& into,
                                 const field_path& field) {
  return store_in(into.step.value, read_number(from, 0, 1, field));
}
constexpr std::array progress_rules{
    member_rule<progress_reading>{"token", &read_token<engine::report_progress>, true},
    member_rule<progress_reading>{"value", &read_progress_value},
    member_rule<progress_reading>{"progress", &read_progress_value},
    member_rule<progress_reading>{
        "message",
        [](const json::value& from, progress_reading& into, const field_path& field) {
          return store_in(into.step.message, read_text(from, field));
        }},
    member_rule<progress_reading>{
        "log",
        [](const json::value& from, progress_reading& into, const field_path& field) {
          return store_in(into.step.log, read_log(from, field));
        }},
};

template <class Step>
result<Step> read_step(const json::value& parsed, std::span<const member_rule<reading<Step>>> rules,
                       engine::job_id id) {
  reading<Step> into{.step = {.id = std::move(id)}};
  result<void> read = read_members<reading<Step>>(parsed, rules, into, {});
  if (!read) return std::unexpected(std::move(read.error()));
  if (!into.has_token) {
    return invalid("token", "token is missing: send the one the job was reserved with.");
  }
  return std::move(into.step);
}

// The raw bytes that belong to a step, once its members are known to be right.
result<void> add_raw(engine::ack_job& step, std::string_view raw) {
  return store_in(step.result, read_raw(raw, "result"));
}
result<void> add_raw(engine::extend_lease& step, std::string_view raw) {
  result<std::string> checkpoint = read_raw(raw, "checkpoint");
  if (!checkpoint) return std::unexpected(std::move(checkpoint.error()));
  if (!checkpoint->empty()) step.checkpoint = std::move(*checkpoint);
  return {};
}
template <class Step>
result<void> add_raw(Step&, std::string_view) {
  return {};
}

template <class Step, std::size_t Count>
result<Step> decode_step(std::string_view body,
                         const std::array<member_rule<reading<Step>>, Count>& rules,
                         engine::job_id id) {
  const std::string_view text = body.empty() ? std::string_view{"{}"} : body;
  const result<json::value> parsed = parse_json(text);
  if (!parsed) return std::unexpected(parsed.error());
  result<Step> step = read_step<Step>(*parsed, rules, std::move(id));
  if (!step) return step;
  result<void> added = add_raw(*step, text);
  if (!added) return std::unexpected(std::move(added.error()));
  return step;
}

template <class Step, std::size_t Count>
result<Step> decode_item(const json::value& item, std::string_view raw,
                         const std::array<member_rule<reading<Step>>, Count>& rules) {
  const json::object* members = item.if_object();
  if (members == nullptr) return not_an_object({});
  const json::value* text = members->if_contains("id");
  if (text == nullptr || !text->is_string()) {
    return invalid("id", "id must be the id of a job.");
  }
  const json::string& id_text = text->get_string();
  std::optional<engine::job_id> id = engine::job_id::parse({id_text.data(), id_text.size()});
  if (!id) return fail(errc::not_found, "job_not_found", "There is no such job.", "id");
  result<Step> step = read_step<Step>(item, rules, std::move(*id));
  if (!step) return step;
  result<void> added = add_raw(*step, raw);
  if (!added) return std::unexpected(std::move(added.error()));
  return step;
}

struct many_jobs {};

template <class Step, std::size_t Count>
result<std::vector<result<Step>>> decode_items(
    std::string_view body, const std::array<member_rule<reading<Step>>, Count>& rules) {
  const result<json::value> parsed = parse_json(body.empty() ? std::string_view{"{}"} : body);
  if (!parsed) return std::unexpected(parsed.error());
  static constexpr std::array outer{member_rule<many_jobs>{"jobs"}};
  many_jobs none;
  result<void> read = read_members<many_jobs>(*parsed, outer, none, {});
  if (!read) return std::unexpected(std::move(read.error()));
  const json::value* jobs = parsed->get_object().if_contains("jobs");
  if (jobs == nullptr || !jobs->is_array()) {
    return invalid("jobs", "jobs must be an array of {\"id\",\"token\"} objects.");
  }
  const json::array& items = jobs->get_array();
  if (items.size() > engine::steps_max) {
    return invalid("jobs",
                   fmt::format("At most {} jobs can be named at once; {} were.", engine::steps_max,
                               items.size()),
                   "too_many_items");
  }
  std::vector<result<Step>> steps;
  steps.reserve(items.size());
  for_each_raw_element(*raw_member(body, "jobs"), [&](std::string_view raw) {
    steps.push_back(decode_item<Step>(items[steps.size()], raw, rules));
  });
  return steps;
}

}  // namespace

result<engine::ack_job> decode_ack(std::string_view body, engine::job_id id) {
  // The id stands in the path.
  static constexpr std::array rules{ack_rules[1], ack_rules[2]};
  return decode_step(body, rules, std::move(id));
}

result<engine::fail_job> decode_fail(std::string_view body, engine::job_id id) {
  return decode_step(body, fail_rules, std::move(id));
}

result<engine::extend_lease> decode_extend(std::string_view body, engine::job_id id) {
  static constexpr std::array rules{extend_rules[1], extend_rules[2], extend_rules[3]};
  return decode_step(body, rules, std::move(id));
}

result<engine::snooze_job> decode_snooze(std::string_view body, engine::job_id id) {
  return decode_step(body, snooze_rules, std::move(id));
}

result<engine::report_progress> decode_progress(std::string_view body, engine::job_id id) {
  result<engine::report_progress> step = decode_step(body, progress_rules, std::move(id));
  if (step && step->message && step->message->size() > engine::message_bytes_max) {
    return invalid("message",
                   fmt::format("message must be at most {} bytes.", engine::message_bytes_max));
  }
  return step;
}

result<std::vector<result<engine::ack_job>>> decode_acks(std::string_view body) {
  return decode_items(body, ack_rules);
}

result<std::vector<result<engine::extend_lease>>> decode_extends(std::string_view body) {
  return decode_items(body, extend_rules);
}

}  // namespace millrace::http
