#include <millrace/cache/family_settings.hpp>

#include <millrace/base/names.hpp>
#include <millrace/base/text_time.hpp>
#include <millrace/cache/entry_limits.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

namespace millrace::cache {

namespace {

template <class Number>
bool read_number(std::string_view text, Number& into) {
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), into);
  return wrong == std::errc{} && end == text.data() + text.size();
}

result<std::size_t> read_size(std::string_view text, const std::string& field) {
  constexpr std::array<std::pair<std::string_view, std::size_t>, 6> units{
      {{"KiB", 1024}, {"MiB", 1024UL * 1024}, {"kB", 1000}, {"MB", 1'000'000}, {"B", 1}, {"", 1}}};
  for (const auto& [unit, factor] : units) {
    if (!text.ends_with(unit)) continue;
    std::uint32_t count = 0;
    if (!read_number(text.substr(0, text.size() - unit.size()), count)) break;
    return count * factor;
  }
  return invalid(field, fmt::format("'{}' is no size; write bytes or '4KiB'", excerpt(text)));
}

result<bool> read_truth(std::string_view text, const std::string& field) {
  if (text == "true") return true;
  if (text == "false") return false;
  return invalid(field, fmt::format("'{}' is neither true nor false", excerpt(text)));
}

result<adaptive_ttl> read_adaptive(std::span<const std::string> values, const std::string& field) {
  adaptive_ttl made;
  if (values.size() == 1 && values[0] == "true") return made;
  made.steps.clear();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::string_view text = values[i];
    const std::size_t colon = text.find(':');
    const bool last = i + 1 == values.size();
    adaptive_ttl::step step;
    if (last != (colon == std::string_view::npos) ||
        (!last && !read_number(text.substr(0, colon), step.above))) {
      return invalid(field,
                     fmt::format("'{}': write accesses and a time from the most to the fewest, and "
                                 "last the time of all others, as in [\"100:1h\", \"10:10m\", "
                                 "\"5m\"]",
                                 excerpt(text)));
    }
    auto span = parse_duration(last ? text : text.substr(colon + 1), field);
    if (!span) return std::unexpected(span.error());
    if (last) {
      made.otherwise = *span;
    } else {
      step.ttl = *span;
      made.steps.push_back(step);
    }
  }
  return made;
}

result<outage_rule> read_outage(std::string_view text, const std::string& field) {
  for (const outage_rule rule :
       {outage_rule::bypass, outage_rule::serve_stale, outage_rule::refuse}) {
    if (text == to_string(rule)) return rule;
  }
  return invalid(field,
                 fmt::format("'{}' is none of bypass, serve_stale and refuse", excerpt(text)));
}

// Keeps what was read, or gives why it could not be.
template <class Value, class Into>
result<void> keep(result<Value> read, Into& into) {
  if (!read) return std::unexpected(std::move(read.error()));
  into = std::move(*read);
  return {};
}

using reader = result<void> (*)(family_spec&, const std::string& text, const std::string& field);

template <auto Member>
result<void> time(family_spec& into, const std::string& text, const std::string& field) {
  return keep(parse_duration(text, field), into.*Member);
}
template <auto Member>
result<void> truth(family_spec& into, const std::string& text, const std::string& field) {
  return keep(read_truth(text, field), into.*Member);
}
template <auto Member>
result<void> size(family_spec& into, const std::string& text, const std::string& field) {
  return keep(read_size(text, field), into.*Member);
}

result<void> pattern(family_spec& into, const std::string& text, const std::string&) {
  into.pattern = text;
  return {};
}

result<void> jitter(family_spec& into, const std::string& text, const std::string& field) {
  if (read_number(text, into.jitter) && std::isfinite(into.jitter)) return {};
  return invalid(field,
                 fmt::format("'{}' is no share; write a number from 0 to 0.5", excerpt(text)));
}

result<void> outage(family_spec& into, const std::string& text, const std::string& field) {
  return keep(read_outage(text, field), into.outage);
}

struct known_setting {
  std::string_view name;
  reader read;
};

constexpr std::array known_settings{
    known_setting{"pattern", pattern},
    known_setting{"ttl", time<&family_spec::ttl>},
    known_setting{"jitter", jitter},
    known_setting{"compress_above", size<&family_spec::compress_above>},
    known_setting{"encrypt", truth<&family_spec::encrypt>},
    known_setting{"stale_while_revalidate", time<&family_spec::stale_while_revalidate>},
    known_setting{"stale_if_error", time<&family_spec::stale_if_error>},
    known_setting{"negative_ttl", time<&family_spec::negative_ttl>},
    known_setting{"outage", outage},
    known_setting{"outage_for", time<&family_spec::outage_for>},
    known_setting{"local", truth<&family_spec::local>},
    known_setting{"warm", size<&family_spec::warm>},
};

result<void> read_setting(family_spec& into, const setting& one, const std::string& field) {
  if (one.name == "tags") {
    into.tags = one.values;
    return {};
  }
  if (one.name == "adaptive") return keep(read_adaptive(one.values, field), into.adaptive);
  const auto found = std::ranges::find(known_settings, one.name, &known_setting::name);
  if (found == known_settings.end()) {
    std::string all = "tags, adaptive";
    for (const known_setting& known : known_settings) all += fmt::format(", {}", known.name);
    return invalid(field, fmt::format("a family has no such setting; it has {}", all),
                   "unknown_setting");
  }
  if (one.values.size() != 1) return invalid(field, "one value, not a list");
  return found->read(into, one.values[0], field);
}

// Seconds, as the documents write them; durations with a unit are fine as well.
result<std::optional<duration>> seconds_of(const environment& variables, std::string_view name) {
  const std::optional<std::string> text = variables(name);
  if (!text || text->empty()) return std::optional<duration>{};
  auto span = parse_duration(*text, name);
  if (!span) return std::unexpected(std::move(span.error()));
  if (*span <= duration{0} || *span > ttl_max) {
    return invalid(std::string(name), "a time to live is more than 0 and at most 365 days");
  }
  return std::optional{*span};
}

}  // namespace

result<family_spec> parse_family(std::string_view name, std::span<const setting> settings,
                                 const family_spec* base) {
  const std::string prefix = fmt::format("cache.families.{}", excerpt(name));
  family_spec made = base == nullptr ? family_spec{.name = std::string(name)} : *base;
  for (const setting& one : settings) {
    const std::string field = fmt::format("{}.{}", prefix, excerpt(one.name));
    if (auto fine = read_setting(made, one, field); !fine) return std::unexpected(fine.error());
  }
  if (made.pattern.empty()) {
    return invalid(prefix + ".pattern", "a family needs a pattern, as in \"bot:{bot_id}\"");
  }
  if (auto fine = check_family(made, prefix); !fine) return std::unexpected(fine.error());
  return made;
}

result<invalidation_rule> parse_rule(std::string_view name, std::span<const setting> settings) {
  const std::string prefix = fmt::format("cache.rules.{}", excerpt(name));
  invalidation_rule made{.name = std::string(name), .removes = {}};
  for (const setting& one : settings) {
    if (one.name != "removes") {
      return invalid(fmt::format("{}.{}", prefix, excerpt(one.name)),
                     "a rule has no such setting; it has removes", "unknown_setting");
    }
    made.removes = one.values;
  }
  if (made.removes.empty()) {
    return invalid(prefix + ".removes", "a rule removes something, as in [\"bot:{bot_id}\"]");
  }
  return made;
}

result<default_ttl> default_ttl_from(const environment& variables) {
  const auto own = seconds_of(variables, "CACHE_DEFAULT_TTL");
  if (!own) return std::unexpected(own.error());
  const auto shared = seconds_of(variables, "REDIS_TTL");
  if (!shared) return std::unexpected(shared.error());
  default_ttl made;
  if (*own) {
    made.ttl = **own;
  } else if (*shared) {
    made.ttl = **shared;
  }
  if (*own && *shared && **own != **shared) {
    made.warning = fmt::format(
        "CACHE_DEFAULT_TTL is {} and REDIS_TTL is {}; the first one counts, "
        "take the other out",
        format_duration(**own), format_duration(**shared));
  }
  return made;
}

result<void> apply_environment(std::span<family_spec> families, const environment& variables) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 6> replaced{
      {{"CACHE_USER_TTL", "user"},
       {"CACHE_JOB_STATUS_TTL", "job_status"},
       {"CACHE_DOCUMENT_TTL", "doc_summary"},
       {"CACHE_DOCUMENT_TTL", "doc_transcription"},
       {"CACHE_VECTOR_SEARCH_TTL", "vector_search"},
       {"CACHE_GRAPH_TTL", "graph"}}};
  for (const auto& [variable, name] : replaced) {
    const auto span = seconds_of(variables, variable);
    if (!span) return std::unexpected(span.error());
    if (!*span) continue;
    for (family_spec& one : families) {
      if (one.name == name) one.ttl = **span;
    }
  }
  return {};
}

}  // namespace millrace::cache
