#include "queue_keys.hpp"

#include <millrace/engine/limits.hpp>
#include <millrace/queue/limits.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace millrace::cli {
namespace {

using change = std::function<void(engine::queue_settings&)>;
using std::chrono::milliseconds;

constexpr std::int64_t most_running = queue_concurrency_max;
constexpr auto most_jobs = static_cast<std::int64_t>(queue_count_max);

struct queue_key_rule {
  std::string_view name;
  result<change> (*read)(const config_value& from);
};

// What was read, as a change of one member.
template <class Read, class Set>
result<change> to_change(result<Read> read, Set set) {
  if (!read) return std::unexpected(std::move(read.error()));
  return change{
      [value = std::move(*read), set](engine::queue_settings& into) { set(into, value); }};
}

template <class Read>
result<Read> read_word(const config_value& from,
                       result<Read> (*parse)(std::string_view, std::string_view)) {
  const auto text = from.as_text();
  if (!text) return std::unexpected(text.error());
  return parse(*text, from.place());
}

result<engine::durability> parse_level(std::string_view text, std::string_view field) {
  if (const auto level = engine::parse_durability(text)) return *level;
  return invalid(std::string{field}, "is none of durable, async, memory");
}

backoff_spec& backoff_of(engine::queue_settings& settings) {
  if (!settings.backoff) settings.backoff.emplace();
  return *settings.backoff;
}

constexpr std::array rules{
    queue_key_rule{"rate",
                   [](const config_value& from) {
                     return to_change(read_word(from, parse_rate),
                                      [](auto& into, const auto& value) { into.rate = value; });
                   }},
    queue_key_rule{"group_rate",
                   [](const config_value& from) {
                     return to_change(
                         read_word(from, parse_rate),
                         [](auto& into, const auto& value) { into.group_rate = value; });
                   }},
    queue_key_rule{"concurrency",
                   [](const config_value& from) {
                     return to_change(from.as_integer(0, most_running),
                                      [](auto& into, std::int64_t value) {
                                        into.concurrency = static_cast<std::uint32_t>(value);
                                      });
                   }},
    queue_key_rule{"group_concurrency",
                   [](const config_value& from) {
                     return to_change(from.as_integer(0, most_running),
                                      [](auto& into, std::int64_t value) {
                                        into.group_concurrency = static_cast<std::uint32_t>(value);
                                      });
                   }},
    queue_key_rule{"depth_max",
                   [](const config_value& from) {
                     return to_change(from.as_integer(0, most_jobs),
                                      [](auto& into, std::int64_t value) {
                                        into.depth_max = static_cast<std::uint64_t>(value);
                                      });
                   }},
    queue_key_rule{"keep_finished",
                   [](const config_value& from) {
                     return to_change(
                         from.as_span(duration{0}, engine::keep_max),
                         [](auto& into, duration value) { into.keep_finished = value; });
                   }},
    queue_key_rule{"keep_finished_count",
                   [](const config_value& from) {
                     return to_change(
                         from.as_integer(0, most_jobs), [](auto& into, std::int64_t value) {
                           into.keep_finished_count = static_cast<std::uint64_t>(value);
                         });
                   }},
    queue_key_rule{"keep_dead",
                   [](const config_value& from) {
                     return to_change(from.as_span(duration{0}, engine::keep_max),
                                      [](auto& into, duration value) { into.keep_dead = value; });
                   }},
    queue_key_rule{"durability",
                   [](const config_value& from) {
                     return to_change(read_word(from, parse_level),
                                      [](auto& into, auto value) { into.level = value; });
                   }},
    queue_key_rule{"max_attempts",
                   [](const config_value& from) {
                     return to_change(from.as_integer(1, engine::attempts_max),
                                      [](auto& into, std::int64_t value) {
                                        into.max_attempts = static_cast<std::uint32_t>(value);
                                      });
                   }},
    queue_key_rule{"backoff_strategy",
                   [](const config_value& from) {
                     return to_change(read_word(from, parse_strategy), [](auto& into, auto value) {
                       backoff_of(into).strategy = value;
                     });
                   }},
    queue_key_rule{"backoff_base",
                   [](const config_value& from) {
                     return to_change(from.as_span(duration{0}, engine::backoff_max),
                                      [](auto& into, duration value) {
                                        backoff_of(into).base =
                                            std::chrono::ceil<milliseconds>(value);
                                      });
                   }},
    queue_key_rule{"backoff_max",
                   [](const config_value& from) {
                     return to_change(from.as_span(duration{0}, engine::backoff_max),
                                      [](auto& into, duration value) {
                                        backoff_of(into).max =
                                            std::chrono::ceil<milliseconds>(value);
                                      });
                   }},
    queue_key_rule{"backoff_jitter",
                   [](const config_value& from) {
                     return to_change(read_word(from, parse_jitter), [](auto& into, auto value) {
                       backoff_of(into).jitter = value;
                     });
                   }},
    queue_key_rule{"priority_step_on_failure",
                   [](const config_value& from) {
                     return to_change(from.as_integer(-9, 9), [](auto& into, std::int64_t value) {
                       into.priority_step_on_failure = static_cast<std::int32_t>(value);
                     });
                   }},
};

}  // namespace

std::vector<std::string_view> queue_key_names() {
  std::vector<std::string_view> names;
  for (const queue_key_rule& rule : rules) names.push_back(rule.name);
  return names;
}

result<change> read_queue_key(std::string_view key, const config_value& value) {
  const auto known = std::ranges::find(rules, key, &queue_key_rule::name);
  if (known == rules.end()) return change{};
  return known->read(value);
}

}  // namespace millrace::cli
