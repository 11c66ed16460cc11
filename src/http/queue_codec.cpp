#include <millrace/http/queue_codec.hpp>

#include "json_members.hpp"

#include <millrace/base/json.hpp>
#include <millrace/base/text_time.hpp>
#include <millrace/engine/limits.hpp>
#include <millrace/http/job_codec.hpp>
#include <millrace/queue/limits.hpp>
#include <millrace/queue/queue.hpp>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <fmt/format.h>

#include <array>
#include <chrono>
#include <iterator>
#include <utility>

namespace millrace::http {
namespace {

constexpr auto counted_max = static_cast<std::int64_t>(queue_count_max);

using rate_rule = member_rule<engine::rate_bound>;
constexpr std::array rate_rules{
    rate_rule{"limit",
              [](const json::value& from, engine::rate_bound& into, const field_path& field) {
                return store_in(into.limit, read_integer(from, 0, engine::rate_limit_max, field));
              }},
    rate_rule{"per",
              [](const json::value& from, engine::rate_bound& into, const field_path& field) {
                return store_in(into.per, read_seconds(from, engine::rate_window_max, field));
              }},
};

// `null` takes the bound away.
result<void> read_rate(const json::value& from, engine::rate_bound& into, const field_path& field) {
  into = {};
  if (from.is_null()) return {};
  return read_members<engine::rate_bound>(from, rate_rules, into, field);
}

using settings = engine::queue_settings;
using rule = member_rule<settings>;
// Every member takes `null`, which is its default.
constexpr std::array settings_rules{
    rule{"rate",
         [](const json::value& from, settings& into, const field_path& field) {
           return read_rate(from, into.rate, field);
         },
         true},
    rule{"group_rate",
         [](const json::value& from, settings& into, const field_path& field) {
           return read_rate(from, into.group_rate, field);
         },
         true},
    rule{"concurrency",
         [](const json::value& from, settings& into, const field_path& field) -> result<void> {
           into.concurrency = settings{}.concurrency;
           if (from.is_null()) return {};
           return store_in(into.concurrency, read_integer(from, 0, queue_concurrency_max, field));
         },
         true},
    rule{"group_concurrency",
         [](const json::value& from, settings& into, const field_path& field) -> result<void> {
           into.group_concurrency = settings{}.group_concurrency;
           if (from.is_null()) return {};
           return store_in(into.group_concurrency,
                           read_integer(from, 0, queue_concurrency_max, field));
         },
         true},
    rule{"depth_max",
         [](const json::value& from, settings& into, const field_path& field) -> result<void> {
           into.depth_max = settings{}.depth_max;
           if (from.is_null()) return {};
           return store_in(into.depth_max, read_integer(from, 0, counted_max, field));
         },
         true},
    rule{"keep_finished",
         [](const json::value& from, settings& into, const field_path& field) -> result<void> {
           into.keep_finished = settings{}.keep_finished;
           if (from.is_null()) return {};
           return store_in(into.keep_finished, read_seconds(from, engine::keep_max, field));
         },
         true},
    rule{"keep_finished_count",
         [](const json::value& from, settings& into, const field_path& field) -> result<void> {
           into.keep_finished_count = settings{}.keep_finished_count;
           if (from.is_null()) return {};
           return store_in(into.keep_finished_count, read_integer(from, 0, counted_max, field));
         },
         true},
    rule{"keep_dead",
         [](const json::value& from, settings& into, const field_path& field) -> result<void> {
           into.keep_dead = settings{}.keep_dead;
           if (from.is_null()) return {};
           return store_in(into.keep_dead, read_seconds(from, engine::keep_max, field));
         },
         true},
    rule{"durability",
         [](const json::value& from, settings& into, const field_path& field) -> result<void> {
           into.level.reset();
           if (from.is_null()) return {};
           return store_in(into.level, read_durability(from, field));
         },
         true},
    rule{"backoff",
         [](const json::value& from, settings& into, const field_path& field) -> result<void> {
           const backoff_spec base = into.backoff.value_or(backoff_spec{});
           into.backoff.reset();
           if (from.is_null()) return {};
           return store_in(into.backoff, read_backoff(from, field, base));
         },
         true},
    rule{"max_attempts",
         [](const json::value& from, settings& into, const field_path& field) -> result<void> {
           into.max_attempts.reset();
           if (from.is_null()) return {};
           return store_in(into.max_attempts, read_integer(from, 1, engine::attempts_max, field));
         },
         true},
    rule{"priority_step_on_failure",
         [](const json::value& from, settings& into, const field_path& field) -> result<void> {
           into.priority_step_on_failure = settings{}.priority_step_on_failure;
           if (from.is_null()) return {};
           return store_in(into.priority_step_on_failure, read_integer(from, -9, 9, field));
         },
         true},
};

result<engine::purge_target> read_purge_target(const json::value& from, const field_path& field) {
  using engine::purge_target;
  const json::string* word = from.if_string();
  if (word != nullptr && *word == "waiting") return purge_target::waiting;
  if (word != nullptr && *word == "finished") return purge_target::finished;
  if (word != nullptr && *word == "dead") return purge_target::dead;
  return invalid(field.text(), field.text() + R"( must be one of "waiting", "finished", "dead".)");
}

constexpr std::array purge_rules{member_rule<engine::purge_target>{
    "what", [](const json::value& from, engine::purge_target& into, const field_path& field) {
      return store_in(into, read_purge_target(from, field));
    }}};

void append_rate(std::string& out, std::string_view member, const engine::rate_bound& rate) {
  out += member;
  if (rate.limit == 0) {
    out += "null";
    return;
  }
  fmt::format_to(std::back_inserter(out), R"({{"limit":{},"per":{}}})", rate.limit,
                 to_seconds(rate.per));
}

void append_settings(std::string& out, const settings& of) {
  const auto at = std::back_inserter(out);
  append_rate(out, R"({"rate":)", of.rate);
  append_rate(out, R"(,"group_rate":)", of.group_rate);
  fmt::format_to(at,
                 R"(,"concurrency":{},"group_concurrency":{},"depth_max":{},"keep_finished":{},)"
                 R"("keep_finished_count":{},"keep_dead":{},"durability":)",
                 of.concurrency, of.group_concurrency, of.depth_max.value(),
                 to_seconds(of.keep_finished), of.keep_finished_count.value(),
                 to_seconds(of.keep_dead));
  if (of.level) {
    fmt::format_to(at, R"("{}")", engine::to_string(*of.level));
  } else {
    out += "null";
  }
  out += R"(,"backoff":)";
  if (of.backoff) {
    append_backoff(out, *of.backoff);
  } else {
    out += "null";
  }
  out += R"(,"max_attempts":)";
  out += of.max_attempts ? std::to_string(*of.max_attempts) : "null";
  fmt::format_to(at, R"(,"priority_step_on_failure":{}}})", of.priority_step_on_failure);
}

}  // namespace

result<engine::queue_settings> decode_queue_settings(std::string_view body,
                                                     engine::queue_settings base) {
  const result<json::value> parsed = parse_json(body.empty() ? std::string_view{"{}"} : body);
  if (!parsed) return std::unexpected(parsed.error());
  result<void> read = read_members<settings>(*parsed, settings_rules, base, {});
  if (!read) return std::unexpected(std::move(read.error()));
  result<void> checked = check(base);
  if (!checked) return std::unexpected(std::move(checked.error()));
  return base;
}

result<engine::purge_target> decode_purge(std::string_view body) {
  const result<json::value> parsed = parse_json(body.empty() ? std::string_view{"{}"} : body);
  if (!parsed) return std::unexpected(parsed.error());
  engine::purge_target target{engine::purge_target::waiting};
  result<void> read = read_members<engine::purge_target>(*parsed, purge_rules, target, {});
  if (!read) return std::unexpected(std::move(read.error()));
  return target;
}

void append_queue(std::string& out, const engine::queue_info& queue, timestamp now) {
  const auto at = std::back_inserter(out);
  out += R"({"queue":)";
  append_json_string(out, queue.queue.name);
  fmt::format_to(at,
                 R"(,"waiting":{},"scheduled":{},"running":{},"retrying":{},"dead":{},)"
                 R"("completed":{},"cancelled":{},"paused":{},"draining":{},"oldest_age":)",
                 queue.waiting, queue.scheduled, queue.running, queue.retrying, queue.dead,
                 queue.completed, queue.cancelled, queue.paused, queue.draining);
  if (queue.oldest_available_at) {
    append_number(out, to_seconds(std::max(duration{0}, now - *queue.oldest_available_at)));
  } else {
    out += "null";
  }
  out += R"(,"settings":)";
  append_settings(out, queue.settings);
  out += R"(,"minutes":[)";
  for (const engine::minute_count& one : queue.minutes) {
    out += &one == &queue.minutes.front() ? R"({"minute":)" : R"(,{"minute":)";
    append_time(out, one.minute);
    fmt::format_to(at, R"(,"enqueued":{},"completed":{},"failed":{},"dead":{}}})", one.enqueued,
                   one.completed, one.failed, one.dead);
  }
  out += "]}";
}

}  // namespace millrace::http
