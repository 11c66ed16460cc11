#include "limits_codec.hpp"

#include "json_members.hpp"

#include <millrace/base/json.hpp>
#include <millrace/engine/limits.hpp>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>
#include <vector>

namespace millrace::http {
namespace {

using engine::take_mode;

constexpr auto value_max = static_cast<std::int64_t>(engine::limit_value_max);

// Ids are texts; a number is taken for its digits.
result<std::string> read_id(const json::value& from, const field_path& field) {
  if (from.is_int64()) return std::to_string(from.get_int64());
  return read_text(from, field);
}

template <class Word>
result<void> read_limit_word(const json::value& from, Word& into, const field_path& field,
                             std::optional<Word> (*parse)(std::string_view),
                             std::string_view words) {
  const auto text = read_text(from, field);
  if (!text) return std::unexpected(text.error());
  const std::optional<Word> word = parse(*text);
  if (!word) {
    return invalid(field.text(), fmt::format("{} must be one of {}.", field.text(), words));
  }
  into = *word;
  return {};
}

result<void> read_amount(const json::value& from, std::uint64_t& into, const field_path& field) {
  return store_in(into, read_integer(from, 1, value_max, field));
}

std::optional<engine::limit_algorithm> to_algorithm(std::string_view word) {
  return engine::parse_limit_algorithm(word);
}
std::optional<engine::limit_period> to_period(std::string_view word) {
  const auto period = engine::parse_limit_period(word);
  return period == engine::limit_period::none ? std::nullopt : period;
}
std::optional<when_down> to_when_down(std::string_view word) { return parse_when_down(word); }

result<void> read_period(const json::value& from, engine::limit_period& into,
                         const field_path& field) {
  return read_limit_word(from, into, field, to_period, "\"daily\", \"weekly\", \"monthly\"");
}

using penalty_rule = member_rule<engine::limit_penalty>;

constexpr std::array penalty_rules{
    penalty_rule{"after",
                 [](const json::value& from, engine::limit_penalty& into, const field_path& field) {
                   return store_in(into.after,
                                   read_integer(from, 1, engine::penalty_after_max, field));
                 }},
    penalty_rule{
        "for", [](const json::value& from, engine::limit_penalty& into, const field_path& field) {
          return store_in(into.length, read_seconds(from, engine::limit_window_max, field));
        }}};

using rule = member_rule<wanted_limit>;

constexpr std::array wanted_rules{
    rule{"scope",
         [](const json::value& from, wanted_limit& into, const field_path& field) {
           return store_in(into.check.scope, read_text(from, field));
         }},
    rule{"id",
         [](const json::value& from, wanted_limit& into, const field_path& field) {
           return store_in(into.check.id, read_id(from, field));
         }},
    rule{"algorithm",
         [](const json::value& from, wanted_limit& into, const field_path& field) {
           return read_limit_word(from, into.check.algorithm, field, to_algorithm,
                                  "\"sliding\", \"fixed\", \"token_bucket\", \"calendar\", "
                                  "\"concurrency\"");
         }},
    rule{"limit",
         [](const json::value& from, wanted_limit& into, const field_path& field) {
           return read_amount(from, into.check.limit, field);
         }},
    rule{"window",
         [](const json::value& from, wanted_limit& into, const field_path& field) {
           return store_in(into.check.window, read_seconds(from, engine::limit_window_max, field));
         }},
    rule{"ttl",
         [](const json::value& from, wanted_limit& into, const field_path& field) {
           return store_in(into.check.window, read_seconds(from, engine::permit_ttl_max, field));
         }},
    rule{"penalty",
         [](const json::value& from, wanted_limit& into, const field_path& field) {
           return read_members<engine::limit_penalty>(from, penalty_rules, into.check.penalty,
                                                      field);
         }},
    rule{"cost", [](const json::value& from, wanted_limit& into,
                    const field_path& field) { return read_amount(from, into.check.cost, field); }},
    rule{"burst",
         [](const json::value& from, wanted_limit& into, const field_path& field) {
           return read_amount(from, into.check.burst, field);
         }},
    rule{"period",
         [](const json::value& from, wanted_limit& into, const field_path& field) {
           return read_period(from, into.check.period, field);
         }},
    rule{"time_zone",
         [](const json::value& from, wanted_limit& into, const field_path& field) {
           return store_in(into.time_zone, read_text(from, field));
         }},
    rule{"dry_run",
         [](const json::value& from, wanted_limit& into, const field_path& field) {
           return store_in(into.check.dry_run, read_flag(from, field));
         }},
    rule{"when_down",
         [](const json::value& from, wanted_limit& into, const field_path& field) {
           return read_limit_word(from, into.on_failure, field, to_when_down,
                                  "\"open\", \"closed\", \"local\"");
         }},
};

// What one algorithm has and another has not.
result<void> check_members(const json::object& given, const engine::limit_check& check,
                           const std::string& place) {
  const bool calendar = check.algorithm == engine::limit_algorithm::calendar;
  const bool permits = check.algorithm == engine::limit_algorithm::concurrency;
  if (!calendar && check.period != engine::limit_period::none) {
    return invalid(place + ".period", "only a calendar budget has a period.");
  }
  if (calendar && check.window != duration{0}) {
    return invalid(place + ".window", "a calendar budget has a period and no window.");
  }
  if (permits && given.contains("window")) {
    return invalid(place + ".window",
                   "permits have no window: ttl says how long one lasts without being renewed.");
  }
  if (!permits && given.contains("ttl")) {
    return invalid(place + ".ttl", "only a limit whose algorithm is concurrency has a ttl.");
  }
  return {};
}

result<std::vector<wanted_limit>> read_checks(const json::value& from) {
  const json::array* items = from.if_array();
  if (items == nullptr) return invalid("checks", "checks must be an array of limits.");
  // More are refused by the engine, which says how many there may be.
  const std::size_t count = std::min(items->size(), engine::limit_checks_max + 1);
  std::vector<wanted_limit> limits(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::string place = fmt::format("checks[{}]", i);
    const field_path field{nullptr, place};
    auto read = read_members<wanted_limit>((*items)[i], wanted_rules, limits[i], field);
    if (!read) return std::unexpected(std::move(read.error()));
    auto sound = check_members((*items)[i].get_object(), limits[i].check, place);
    if (!sound) return std::unexpected(std::move(sound.error()));
  }
  return limits;
}

// What a request may say about itself whether or not the policy asks for it, so that one body does
// for all policies.
constexpr std::array<std::string_view, 5> common_parts{"user", "ip", "bot", "endpoint", "plan"};

bool names_part(const std::vector<std::string>& list, std::string_view part) {
  return std::ranges::any_of(
      list, [&](std::string_view entry) { return entry.substr(0, entry.find('=')) == part; });
}

// Whose these are is known: a request does not choose.
constexpr std::array<std::string_view, 3> known_scopes{"global", "project", "server"};

bool knows_part(const limit_policy& policy, std::string_view part) {
  if (std::ranges::find(known_scopes, part) != known_scopes.end()) return false;
  if (std::ranges::find(common_parts, part) != common_parts.end()) return true;
  if (names_part(policy.allow, part) || names_part(policy.deny, part)) return true;
  return std::ranges::any_of(policy.rules, [&](const limit_rule& one) {
    return one.scope == part || one.fallback == part;
  });
}

using body_rule = member_rule<limits_body>;

constexpr body_rule policy_rule{
    "policy", [](const json::value& from, limits_body& into, const field_path& field) {
      return store_in(into.asked.policy, read_text(from, field));
    }};
constexpr body_rule checks_rule{"checks",
                                [](const json::value& from, limits_body& into, const field_path&) {
                                  return store_in(into.asked.limits, read_checks(from));
                                }};
constexpr body_rule cost_rule{
    "cost", [](const json::value& from, limits_body& into, const field_path& field) {
      return read_amount(from, into.asked.cost, field);
    }};
constexpr body_rule taken_at_rule{
    "taken_at", [](const json::value& from, limits_body& into, const field_path& field) {
      return store_in(into.taken_at.emplace(), read_time(from, field));
    }};

template <take_mode mode>
result<void> read_mode(const json::value& from, limits_body& into, const field_path& field) {
  const auto wanted = read_flag(from, field);
  if (!wanted) return std::unexpected(wanted.error());
  if (!*wanted) return {};
  if (into.mode != take_mode::all) {
    return invalid(field.text(), "peek and partial exclude each other.");
  }
  into.mode = mode;
  return {};
}

constexpr std::array check_rules{policy_rule, checks_rule, cost_rule,
                                 body_rule{"peek", &read_mode<take_mode::peek>},
                                 body_rule{"partial", &read_mode<take_mode::part>}};
constexpr std::array refund_rules{policy_rule, checks_rule, cost_rule, taken_at_rule};
constexpr std::array settle_rules{
    policy_rule, checks_rule, taken_at_rule,
    body_rule{"reserved",
              [](const json::value& from, limits_body& into, const field_path& field) {
                into.reserves = true;
                return read_amount(from, into.asked.cost, field);
              }},
    body_rule{"used", [](const json::value& from, limits_body& into, const field_path& field) {
                return store_in(into.used.emplace(), read_integer(from, 0, value_max, field));
              }}};
constexpr std::array reset_rules{policy_rule, checks_rule};
constexpr std::array permit_rules{
    policy_rule, checks_rule,
    body_rule{"permit", [](const json::value& from, limits_body& into, const field_path& field) {
                return store_in(into.permit,
                                read_integer(from, 1, (std::int64_t{1} << 53U) - 1, field));
              }}};

std::span<const body_rule> rules_of(limits_verb verb) {
  switch (verb) {
    case limits_verb::check: return check_rules;
    case limits_verb::refund: return refund_rules;
    case limits_verb::settle: return settle_rules;
    case limits_verb::reset: return reset_rules;
    case limits_verb::permit: return permit_rules;
  }
  return {};
}

// The members without a rule: what the request says about itself.
result<void> read_parts(const json::object& from, std::span<const body_rule> rules,
                        const limit_settings& settings, limits_body& into) {
  const limit_policy* policy = find_policy(settings, into.asked.policy);
  for (const json::key_value_pair& member : from) {
    const std::string_view name{member.key().data(), member.key().size()};
    const field_path field{nullptr, name};
    if (std::ranges::find(rules, name, &body_rule::name) != rules.end()) continue;
    // Of a policy that there is not, the limiter tells.
    const bool any = !into.asked.policy.empty() && policy == nullptr;
    if (!any && (policy == nullptr || !knows_part(*policy, name))) return unknown_member(field);
    if (member.value().is_null()) continue;
    auto id = read_id(member.value(), field);
    if (!id) return std::unexpected(std::move(id.error()));
    into.asked.parts.emplace(name, std::move(*id));
  }
  return {};
}

result<void> read_ruled(const json::object& from, std::span<const body_rule> rules,
                        limits_body& into) {
  for (const body_rule& one : rules) {
    const json::value* found = from.if_contains(one.name);
    if (found == nullptr || found->is_null()) continue;
    if (auto read = one.read(*found, into, {nullptr, one.name}); !read) return read;
  }
  return {};
}

result<void> check_source(const json::object& from, const limits_body& body) {
  const bool listed = from.contains("checks");
  if (listed == body.asked.policy.empty()) return {};
  if (listed) return invalid("checks", "give either checks or a policy, not both.");
  return invalid("policy", "say which limits: a policy of the configuration, or checks.");
}

using tokens_rule = member_rule<tokens_body>;

// Where a limit is given, it is the only one.
wanted_limit& own_budget(tokens_body& of) {
  if (of.asked.limits.empty()) {
    wanted_limit& made = of.asked.limits.emplace_back();
    made.check.scope = "user";
    made.check.algorithm = engine::limit_algorithm::calendar;
    made.check.period = engine::limit_period::daily;
  }
  return of.asked.limits.front();
}

constexpr std::array tokens_rules{
    tokens_rule{"user_id",
                [](const json::value& from, tokens_body& into, const field_path& field) {
                  return store_in(into.user, read_id(from, field));
                }},
    tokens_rule{"tokens",
                [](const json::value& from, tokens_body& into, const field_path& field) {
                  return read_amount(from, into.tokens, field);
                }},
    tokens_rule{"policy",
                [](const json::value& from, tokens_body& into, const field_path& field) {
                  return store_in(into.asked.policy, read_text(from, field));
                }},
    tokens_rule{"limit",
                [](const json::value& from, tokens_body& into, const field_path& field) {
                  return read_amount(from, own_budget(into).check.limit, field);
                }},
    tokens_rule{"period",
                [](const json::value& from, tokens_body& into, const field_path& field) {
                  return read_period(from, own_budget(into).check.period, field);
                }},
    tokens_rule{"time_zone",
                [](const json::value& from, tokens_body& into, const field_path& field) {
                  return store_in(own_budget(into).time_zone, read_text(from, field));
                }},
    tokens_rule{"peek", [](const json::value& from, tokens_body& into, const field_path& field) {
                  const auto wanted = read_flag(from, field);
                  if (!wanted) return result<void>(std::unexpected(wanted.error()));
                  if (*wanted) into.mode = take_mode::peek;
                  return result<void>();
                }}};

}  // namespace

result<limits_body> decode_limits(std::string_view body, limits_verb verb,
                                  const limit_settings& settings) {
  const auto parsed = parse_json(body.empty() ? "{}" : body);
  if (!parsed) return std::unexpected(parsed.error());
  const json::object* members = parsed->if_object();
  if (members == nullptr) return not_an_object({});
  limits_body out;
  const std::span<const body_rule> rules = rules_of(verb);
  if (auto read = read_ruled(*members, rules, out); !read) {
    return std::unexpected(std::move(read.error()));
  }
  if (auto read = read_parts(*members, rules, settings, out); !read) {
    return std::unexpected(std::move(read.error()));
  }
  if (auto sound = check_source(*members, out); !sound) {
    return std::unexpected(std::move(sound.error()));
  }
  if (!out.asked.policy.empty() || !members->contains("cost")) return out;
  return invalid("cost", "each of checks has a cost of its own.");
}

result<void> check_settlement(const limits_body& body) {
  if (!body.reserves) return invalid("reserved", "reserved says how much was taken before.");
  if (body.used) return {};
  return invalid("used", "used says how much of what was reserved is kept.");
}

result<tokens_body> decode_tokens(std::string_view body) {
  const auto parsed = parse_json(body.empty() ? "{}" : body);
  if (!parsed) return std::unexpected(parsed.error());
  tokens_body out;
  if (auto read = read_members<tokens_body>(*parsed, tokens_rules, out, {}); !read) {
    return std::unexpected(std::move(read.error()));
  }
  if (out.user.empty()) return invalid("user_id", "user_id says whose budget it is.");
  if (out.tokens == 0) return invalid("tokens", "tokens says how many are consumed.");
  if (out.asked.limits.empty()) {
    if (out.asked.policy.empty()) out.asked.policy = "tokens";
    out.asked.parts.emplace("user", out.user);
    out.asked.cost = out.tokens;
    return out;
  }
  if (!out.asked.policy.empty()) {
    return invalid("limit", "give either a policy or a limit, not both.");
  }
  engine::limit_check& check = out.asked.limits.front().check;
  if (check.limit == 0) return invalid("limit", "limit says how large the budget is.");
  check.id = out.user;
  check.cost = out.tokens;
  if (check.cost > check.limit) {
    return invalid("tokens", "tokens is more than the limit can ever allow.", "cost_over_limit");
  }
  return out;
}

}  // namespace millrace::http
