#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/base/error.hpp>
#include <millrace/base/json.hpp>
#include <millrace/engine/job.hpp>

#include <boost/json/value.hpp>
#include <fmt/format.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// Strict reading of JSON objects: every member has a rule, a member without one is an error, and
/// an error names the member by its path (`backoff.base`).
namespace millrace::http {

namespace json = boost::json;

/// The path of a member, put together only when an error names it.
struct field_path {
  const field_path* parent{nullptr};
  std::string_view name;

  [[nodiscard]] std::string text() const;
};

/// How one member of an object goes into a `Target`.
template <class Target>
struct member_rule {
  std::string_view name;
  /// Empty for members that are read elsewhere (raw bytes).
  result<void> (*read)(const json::value& from, Target& into, const field_path& field){nullptr};
  /// Hand `null` to `read` too; otherwise it counts as not given.
  bool takes_null{false};
};

[[nodiscard]] std::unexpected<error> not_an_object(const field_path& field);
[[nodiscard]] std::unexpected<error> unknown_member(const field_path& field);

/// Reads each member by its rule. `field` is where the object itself stands.
template <class Target>
[[nodiscard]] result<void> read_members(const json::value& from,
                                        std::span<const member_rule<Target>> rules, Target& into,
                                        const field_path& field) {
  const json::object* members = from.if_object();
  if (members == nullptr) return not_an_object(field);
  for (const json::key_value_pair& member : *members) {
    const std::string_view name{member.key().data(), member.key().size()};
    const field_path path{&field, name};
    const member_rule<Target>* rule = nullptr;
    for (const member_rule<Target>& one : rules) {
      if (one.name == name) rule = &one;
    }
    if (rule == nullptr) return unknown_member(path);
    if (rule->read == nullptr || (member.value().is_null() && !rule->takes_null)) continue;
    result<void> read = rule->read(member.value(), into, path);
    if (!read) return read;
  }
  return {};
}

/// Reads a body whose members stand in it directly; an empty one has none.
template <class Target>
[[nodiscard]] result<void> read_body(std::string_view body,
                                     std::span<const member_rule<Target>> rules, Target& into) {
  const result<json::value> parsed = parse_json(body.empty() ? std::string_view{"{}"} : body);
  if (!parsed) return std::unexpected(parsed.error());
  return read_members<Target>(*parsed, rules, into, {});
}

[[nodiscard]] result<std::string> read_text(const json::value& from, const field_path& field);
[[nodiscard]] result<bool> read_flag(const json::value& from, const field_path& field);
/// A whole number in [min, max].
[[nodiscard]] result<std::int64_t> read_integer(const json::value& from, std::int64_t min,
                                                std::int64_t max, const field_path& field);
/// Seconds, fractions allowed, in [0, max].
[[nodiscard]] result<duration> read_seconds(const json::value& from, duration max,
                                            const field_path& field);
/// Seconds of a lease: 0 (a default), or 1 s to 24 h.
[[nodiscard]] result<duration> read_lease(const json::value& from, const field_path& field);
[[nodiscard]] result<double> read_number(const json::value& from, double min, double max,
                                         const field_path& field);
/// RFC 3339.
[[nodiscard]] result<timestamp> read_time(const json::value& from, const field_path& field);
/// An object of strings, sorted by key.
[[nodiscard]] result<std::vector<engine::label>> read_labels(const json::value& from,
                                                             const field_path& field);
/// What is left out is as in `base`.
[[nodiscard]] result<backoff_spec> read_backoff(const json::value& from, const field_path& field,
                                                backoff_spec base = {});
[[nodiscard]] result<engine::durability> read_durability(const json::value& from,
                                                         const field_path& field);

/// Puts what was read where it belongs: `return store_in(into.x, read_text(from, field));`
template <class To, class From>
[[nodiscard]] result<void> store_in(To& to, result<From> read) {
  if (!read) return std::unexpected(std::move(read.error()));
  if constexpr (std::is_arithmetic_v<To> && std::is_arithmetic_v<From>) {
    to = static_cast<To>(*read);
  } else {
    to = std::move(*read);
  }
  return {};
}

/// The exact bytes of a member, bounded; empty where it is not given.
/// Requires: `text` is an object that has been parsed.
[[nodiscard]] result<std::string> read_raw(std::string_view text, std::string_view member);

}  // namespace millrace::http
