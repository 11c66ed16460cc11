#include "config_limits.hpp"

#include "suggest.hpp"

#include <millrace/base/names.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <utility>

namespace millrace::cli {
namespace {

constexpr auto value_max = static_cast<std::int64_t>(engine::limit_value_max);

/// `limits`, `policies`, the name, then the key.
constexpr std::size_t name_at = 2;
constexpr std::size_t key_at = 3;
/// `limits`, its place, the member.
constexpr std::size_t member_at = 5;

struct rule_key {
  std::string_view name;
  result<void> (*read)(const config_value& from, limit_rule& into);
};

template <class To, class From>
result<void> put(To& into, result<From> from) {
  if (!from) return std::unexpected(std::move(from.error()));
  into = static_cast<To>(std::move(*from));
  return {};
}

result<void> put_amount(std::uint64_t& into, const config_value& from) {
  return put(into, from.as_integer(1, value_max));
}

constexpr std::array rule_keys{
    rule_key{"scope", [](const config_value& from,
                         limit_rule& into) { return put(into.scope, from.as_text()); }},
    rule_key{"fallback", [](const config_value& from,
                            limit_rule& into) { return put(into.fallback, from.as_text()); }},
    rule_key{"algorithm",
             [](const config_value& from, limit_rule& into) {
               const auto word =
                   from.as_choice({"sliding", "fixed", "token_bucket", "calendar", "concurrency"});
               if (!word) return result<void>(std::unexpected(word.error()));
               into.algorithm = *engine::parse_limit_algorithm(*word);
               return result<void>();
             }},
    rule_key{"limit", [](const config_value& from,
                         limit_rule& into) { return put_amount(into.limit, from); }},
    rule_key{"window",
             [](const config_value& from, limit_rule& into) {
               return put(into.window,
                          from.as_span(engine::limit_window_min, engine::limit_window_max));
             }},
    rule_key{"burst", [](const config_value& from,
                         limit_rule& into) { return put_amount(into.burst, from); }},
    rule_key{"period",
             [](const config_value& from, limit_rule& into) {
               const auto word = from.as_choice({"daily", "weekly", "monthly"});
               if (!word) return result<void>(std::unexpected(word.error()));
               into.period = *engine::parse_limit_period(*word);
               return result<void>();
             }},
    rule_key{"time_zone", [](const config_value& from,
                             limit_rule& into) { return put(into.time_zone, from.as_text()); }},
    rule_key{"dry_run", [](const config_value& from,
                           limit_rule& into) { return put(into.dry_run, from.as_flag()); }},
    rule_key{"when_down",
             [](const config_value& from, limit_rule& into) {
               const auto word = from.as_choice({"open", "closed", "local"});
               if (!word) return result<void>(std::unexpected(word.error()));
               into.on_failure = *parse_when_down(*word);
               return result<void>();
             }},
    rule_key{"ttl",
             [](const config_value& from, limit_rule& into) {
               return put(into.window,
                          from.as_span(engine::permit_ttl_min, engine::permit_ttl_max));
             }},
    rule_key{"lease", [](const config_value& from,
                         limit_rule& into) { return put(into.lease, from.as_share(lease_max)); }},
};

std::unexpected<error> unknown(const file_entry& entry, std::string_view typed,
                               const std::vector<std::string_view>& known) {
  std::string detail = fmt::format("unknown key '{}'", fmt::join(entry.path, "."));
  if (const auto meant = nearest(typed, known)) {
    detail += fmt::format("; did you mean '{}'?", *meant);
  } else {
    detail += fmt::format("; known are {}", fmt::join(known, ", "));
  }
  return invalid(entry.where, std::move(detail), "unknown_key");
}

// `penalty = { after = 5, for = "10m" }`.
result<void> apply_penalty_key(const file_entry& entry, engine::limit_penalty& into) {
  const std::string& key = entry.path.back();
  if (key == "after") {
    return put(into.after, entry.value.as_integer(1, engine::penalty_after_max));
  }
  if (key == "for") {
    return put(into.length,
               entry.value.as_span(engine::limit_window_min, engine::limit_window_max));
  }
  return unknown(entry, key, {"after", "for"});
}

result<void> apply_rule_key(const file_entry& entry, limit_policy& into) {
  std::size_t index = 0;
  const std::string& place = entry.path[key_at + 1];
  std::from_chars(place.data(), place.data() + place.size(), index);
  // More than may be are refused as a whole, when all are there.
  if (index > engine::limit_checks_max) return {};
  if (into.rules.size() <= index) into.rules.resize(index + 1);
  if (entry.path.size() > member_at + 1) {
    return apply_penalty_key(entry, into.rules[index].penalty);
  }
  const auto known = std::ranges::find(rule_keys, entry.path[member_at], &rule_key::name);
  if (known != rule_keys.end()) return known->read(entry.value, into.rules[index]);
  std::vector<std::string_view> names;
  for (const rule_key& one : rule_keys) names.push_back(one.name);
  names.emplace_back("penalty");
  return unknown(entry, entry.path[member_at], names);
}

}  // namespace

bool is_limit_key(const file_entry& entry) {
  if (entry.path.size() < key_at || entry.path[0] != "limits") return false;
  return entry.path[1] == "routes" || (entry.path[1] == "policies" && entry.path.size() > key_at);
}

result<void> apply_limit_key(const file_entry& entry, limit_settings& into) {
  const std::string& name = entry.path[name_at];
  if (entry.path[1] == "routes") {
    return put(into.bindings.emplace_back(limit_binding{.requests = name, .policy = {}}).policy,
               entry.value.as_text());
  }
  if (auto sound = check_name(name, entry.where); !sound) return sound;
  limit_policy& policy = into.policies[name];
  const std::string& key = entry.path[key_at];
  const bool of_penalty = entry.path.size() == member_at + 2 && entry.path[member_at] == "penalty";
  if (key == "limits" && (entry.path.size() == member_at + 1 || of_penalty)) {
    return apply_rule_key(entry, policy);
  }
  if (entry.path.size() == key_at + 1) {
    if (key == "allow") return put(policy.allow, entry.value.as_texts());
    if (key == "deny") return put(policy.deny, entry.value.as_texts());
    if (key == "limits") {
      return entry.value.refuse(
          "a list of limits: [{ scope = \"user\", limit = 100, window = "
          "\"1m\" }]");
    }
  }
  return unknown(entry, key, {"limits", "allow", "deny"});
}

result<void> check_limits(const limit_settings& settings) {
  auto sound = check_limit_settings(settings);
  if (sound) return sound;
  error why = std::move(sound.error());
  why.field = fmt::format("limits.{}", why.field);
  why.code = "invalid_configuration";
  return std::unexpected(std::move(why));
}

}  // namespace millrace::cli
