#include "enqueue_codec.hpp"
#include "json_members.hpp"

#include <millrace/base/json.hpp>
#include <millrace/base/names.hpp>
#include <millrace/base/text_time.hpp>
#include <millrace/http/job_codec.hpp>
#include <millrace/http/queue_codec.hpp>

#include <boost/json/object.hpp>
#include <fmt/format.h>

#include <array>
#include <iterator>
#include <utility>

namespace millrace::http {
namespace {

using engine::cron_catch_up;
using engine::cron_entry;
using engine::cron_overlap;

constexpr std::array<std::string_view, 3> catch_up_words{"one", "none", "all"};
constexpr std::array<std::string_view, 3> overlap_words{"allow", "skip", "replace"};

template <class Word>
result<Word> read_choice(const json::value& from, const field_path& field,
                         const std::array<std::string_view, 3>& words) {
  const json::string* text = from.if_string();
  for (std::size_t i = 0; text != nullptr && i < words.size(); ++i) {
    if (std::string_view{*text} == words[i]) return static_cast<Word>(i);
  }
  return invalid(field.text(), fmt::format(R"({} must be one of "{}".)", field.text(),
                                           fmt::join(words, "\", \"")));
}

using rule = member_rule<cron_entry>;
// `job` is read by the rules of an enqueue, once the queue is known.
constexpr std::array rules{
    rule{"job"},
    rule{"queue",
         [](const json::value& from, cron_entry& into, const field_path& field) {
           return store_in(into.queue, read_text(from, field));
         }},
    rule{"schedule",
         [](const json::value& from, cron_entry& into, const field_path& field) {
           return store_in(into.schedule, read_text(from, field));
         }},
    rule{"time_zone",
         [](const json::value& from, cron_entry& into, const field_path& field) {
           return store_in(into.time_zone, read_text(from, field));
         }},
    rule{"catch_up",
         [](const json::value& from, cron_entry& into, const field_path& field) {
           return store_in(into.catch_up, read_choice<cron_catch_up>(from, field, catch_up_words));
         }},
    rule{"overlap",
         [](const json::value& from, cron_entry& into, const field_path& field) {
           return store_in(into.overlap, read_choice<cron_overlap>(from, field, overlap_words));
         }},
    rule{"paused",
         [](const json::value& from, cron_entry& into, const field_path& field) {
           return store_in(into.paused, read_flag(from, field));
         }},
};

result<void> read_job(const json::value& body, std::string_view text, cron_entry& into) {
  into.default_attempts = into.default_backoff = into.default_level = true;
  const json::value* job = body.get_object().if_contains("job");
  if (job == nullptr || job->is_null()) return {};
  const std::string_view raw = raw_member(text, "job").value_or("{}");
  const field_path outer{nullptr, "job"};
  result<enqueue_request> read =
      read_enqueue(*job, raw, {.project = into.project, .name = into.queue}, outer);
  if (!read) return std::unexpected(std::move(read.error()));
  if (read->level) {
    return invalid("job.durability",
                   "job.durability does not belong here: set the durability at the queue.");
  }
  into.job = std::move(read->spec);
  into.default_attempts = !read->max_attempts;
  into.default_backoff = !read->backoff;
  if (read->max_attempts) into.job.max_attempts = *read->max_attempts;
  if (read->backoff) into.job.backoff = *read->backoff;
  return {};
}

// What comes from the queue when a slot fires is not the entry's to tell.
void append_spec(std::string& out, const cron_entry& entry) {
  const engine::job_spec& spec = entry.job;
  const auto at = std::back_inserter(out);
  out += R"({"type":)";
  append_json_string(out, spec.type);
  out.append(R"(,"data":)").append(spec.data);
  fmt::format_to(at, R"(,"priority":{},"labels":)", spec.priority);
  append_labels(out, spec.labels);
  if (!entry.default_attempts) fmt::format_to(at, R"(,"max_attempts":{})", spec.max_attempts);
  if (!entry.default_backoff) {
    out += R"(,"backoff":)";
    append_backoff(out, spec.backoff);
  }
  if (spec.delay > duration{0}) fmt::format_to(at, R"(,"delay":{})", to_seconds(spec.delay));
  if (spec.lease > duration{0}) fmt::format_to(at, R"(,"lease":{})", to_seconds(spec.lease));
  if (spec.timeout > duration{0}) fmt::format_to(at, R"(,"timeout":{})", to_seconds(spec.timeout));
  if (!spec.group.empty()) {
    out += R"(,"group":)";
    append_json_string(out, spec.group);
  }
  if (!spec.correlation_id.empty()) {
    out += R"(,"correlation_id":)";
    append_json_string(out, spec.correlation_id);
  }
  if (!spec.traceparent.empty()) {
    out += R"(,"traceparent":)";
    append_json_string(out, spec.traceparent);
  }
  if (spec.unique) {
    out += R"(,"unique":{"key":)";
    append_json_string(out, spec.unique->key);
    out.append(R"(,"mode":")").append(unique_mode_name(spec.unique->mode)).append(R"("})");
  }
  out += '}';
}

}  // namespace

result<cron_entry> decode_cron(std::string_view body, std::string project, std::string name) {
  const std::string_view text = body.empty() ? std::string_view{"{}"} : body;
  const result<json::value> parsed = parse_json(text);
  if (!parsed) return std::unexpected(parsed.error());
  cron_entry entry{.project = std::move(project), .name = std::move(name)};
  result<void> read = read_members<cron_entry>(*parsed, rules, entry, {});
  if (!read) return std::unexpected(std::move(read.error()));
  if (entry.queue.empty()) return invalid("queue", "queue is missing: say where the jobs go.");
  result<void> named = check_name(entry.queue, "queue");
  if (!named) return std::unexpected(std::move(named.error()));
  if (entry.schedule.empty()) {
    return invalid("schedule", "schedule is missing: write a cron line such as \"*/5 * * * *\".");
  }
  result<void> job = read_job(*parsed, text, entry);
  if (!job) return std::unexpected(std::move(job.error()));
  return entry;
}

void append_cron(std::string& out, const cron_entry& entry) {
  const auto at = std::back_inserter(out);
  out += R"({"name":)";
  append_json_string(out, entry.name);
  out += R"(,"queue":)";
  append_json_string(out, entry.queue);
  out += R"(,"schedule":)";
  append_json_string(out, entry.schedule);
  out += R"(,"time_zone":)";
  append_json_string(out, entry.time_zone);
  out += R"(,"job":)";
  append_spec(out, entry);
  fmt::format_to(at, R"(,"catch_up":"{}","overlap":"{}","paused":{},"next_at":)",
                 catch_up_words[static_cast<std::size_t>(entry.catch_up)],
                 overlap_words[static_cast<std::size_t>(entry.overlap)], entry.paused);
  // A paused one fires at none of its slots.
  append_time(out, entry.paused ? std::nullopt : entry.next_at);
  out += R"(,"last_fired_at":)";
  append_time(out, entry.last_fired_at);
  out += R"(,"last_job":)";
  if (entry.last_job) {
    fmt::format_to(at, R"("{}")", entry.last_job->text());
  } else {
    out += "null";
  }
  fmt::format_to(at, R"(,"fired":{},"skipped":{}}})", entry.fired, entry.skipped);
}

}  // namespace millrace::http
