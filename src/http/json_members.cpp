#include "json_members.hpp"

#include <millrace/base/json.hpp>
#include <millrace/base/names.hpp>
#include <millrace/base/text_time.hpp>
#include <millrace/engine/limits.hpp>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/string.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>

namespace millrace::http {
namespace {

std::string_view kind_name(const json::value& value) noexcept {
  switch (value.kind()) {
    case json::kind::null: return "null";
    case json::kind::bool_: return "a boolean";
    case json::kind::int64:
    case json::kind::uint64:
    case json::kind::double_: return "a number";
    case json::kind::string: return "a string";
    case json::kind::array: return "an array";
    case json::kind::object: return "an object";
  }
  return "something else";
}

std::unexpected<error> wrong_kind(const field_path& field, std::string_view wanted,
                                  const json::value& got) {
  const std::string name = field.text();
  return invalid(name, fmt::format("{} must be {}; {} was given.", name.empty() ? "This" : name,
                                   wanted, kind_name(got)));
}

std::optional<double> number_of(const json::value& from) noexcept {
  if (from.is_int64()) return static_cast<double>(from.get_int64());
  if (from.is_uint64()) return static_cast<double>(from.get_uint64());
  if (from.is_double()) return from.get_double();
  return std::nullopt;
}

template <class Word, std::size_t Count>
result<Word> read_word(const json::value& from, const field_path& field,
                       const std::array<std::pair<std::string_view, Word>, Count>& words) {
  if (const json::string* text = from.if_string()) {
    for (const auto& [name, word] : words) {
      if (name == std::string_view{*text}) return word;
    }
  }
  std::string wanted;
  for (const auto& [name, word] : words) {
    fmt::format_to(std::back_inserter(wanted), "{}\"{}\"", wanted.empty() ? "one of " : ", ", name);
  }
  if (!from.is_string()) return wrong_kind(field, wanted, from);
  return invalid(field.text(), fmt::format("{} must be {}.", field.text(), wanted));
}

using backoff_rule = member_rule<backoff_spec>;

constexpr std::array strategies{
    std::pair{std::string_view{"exponential"}, backoff_strategy::exponential},
    std::pair{std::string_view{"linear"}, backoff_strategy::linear},
    std::pair{std::string_view{"fixed"}, backoff_strategy::fixed},
    std::pair{std::string_view{"polynomial"}, backoff_strategy::polynomial},
};
constexpr std::array jitters{
    std::pair{std::string_view{"none"}, backoff_jitter::none},
    std::pair{std::string_view{"full"}, backoff_jitter::full},
    std::pair{std::string_view{"equal"}, backoff_jitter::equal},
    std::pair{std::string_view{"lengthen"}, backoff_jitter::lengthen},
};
result<void> read_milliseconds(const json::value& from, std::chrono::milliseconds& into,
                               const field_path& field) {
  const result<duration> span = read_seconds(from, engine::backoff_max, field);
  if (!span) return std::unexpected(span.error());
  into = std::chrono::round<std::chrono::milliseconds>(*span);
  return {};
}

constexpr std::array backoff_rules{
    backoff_rule{"strategy",
                 [](const json::value& from, backoff_spec& into, const field_path& field) {
                   return store_in(into.strategy, read_word(from, field, strategies));
                 }},
    backoff_rule{"base",
                 [](const json::value& from, backoff_spec& into, const field_path& field) {
                   return read_milliseconds(from, into.base, field);
                 }},
    backoff_rule{"max",
                 [](const json::value& from, backoff_spec& into, const field_path& field) {
                   return read_milliseconds(from, into.max, field);
                 }},
    backoff_rule{"jitter",
                 [](const json::value& from, backoff_spec& into, const field_path& field) {
                   return store_in(into.jitter, read_word(from, field, jitters));
                 }},
};

}  // namespace

std::string field_path::text() const {
  std::string path = parent != nullptr ? parent->text() : std::string{};
  if (!path.empty() && !name.empty()) path += '.';
  // What a client made up is shown, but never a page of it.
  path += excerpt(name);
  return path;
}

std::unexpected<error> not_an_object(const field_path& field) {
  const std::string name = field.text();
  return invalid(name, name.empty() ? std::string{"The body must be a JSON object."}
                                    : fmt::format("{} must be a JSON object.", name));
}

std::unexpected<error> unknown_member(const field_path& field) {
  return invalid(field.text(), fmt::format("There is no member \"{}\" here.", field.text()),
                 "unknown_member");
}

result<std::string> read_text(const json::value& from, const field_path& field) {
  const json::string* text = from.if_string();
  if (text == nullptr) return wrong_kind(field, "a string", from);
  return std::string{text->data(), text->size()};
}

result<bool> read_flag(const json::value& from, const field_path& field) {
  if (!from.is_bool()) return wrong_kind(field, "true or false", from);
  return from.get_bool();
}

result<std::int64_t> read_integer(const json::value& from, std::int64_t min, std::int64_t max,
                                  const field_path& field) {
  const std::optional<double> number = number_of(from);
  if (!number) return wrong_kind(field, "a whole number", from);
  if (!from.is_int64() || from.get_int64() < min || from.get_int64() > max) {
    return invalid(field.text(),
                   fmt::format("{} must be a whole number from {} to {}; {} was given.",
                               field.text(), min, max, *number));
  }
  return from.get_int64();
}

result<double> read_number(const json::value& from, double min, double max,
                           const field_path& field) {
  const std::optional<double> number = number_of(from);
  if (!number) return wrong_kind(field, "a number", from);
  if (!(*number >= min && *number <= max)) {
    return invalid(field.text(), fmt::format("{} must be from {} to {}; {} was given.",
                                             field.text(), min, max, *number));
  }
  return *number;
}

result<duration> read_seconds(const json::value& from, duration max, const field_path& field) {
  const std::optional<double> seconds = number_of(from);
  if (!seconds) return wrong_kind(field, "a number of seconds", from);
  result<duration> span = seconds_to_duration(*seconds, max, field.name);
  // The whole path costs an allocation, so it is put together only where it is told.
  if (!span) return seconds_to_duration(*seconds, max, field.text());
  return span;
}

result<duration> read_lease(const json::value& from, const field_path& field) {
  result<duration> lease = read_seconds(from, engine::lease_max, field);
  if (lease && *lease > duration{0} && *lease < engine::lease_min) {
    return invalid(field.text(), fmt::format("{} must be 0 (the default) or at least {} second.",
                                             field.text(), engine::lease_min.count()));
  }
  return lease;
}

result<timestamp> read_time(const json::value& from, const field_path& field) {
  const json::string* text = from.if_string();
  if (text == nullptr) return wrong_kind(field, "an RFC 3339 time", from);
  return parse_rfc3339({text->data(), text->size()}, field.text());
}

result<std::vector<engine::label>> read_labels(const json::value& from, const field_path& field) {
  const json::object* members = from.if_object();
  if (members == nullptr) return wrong_kind(field, "an object of strings", from);
  std::vector<engine::label> labels;
  labels.reserve(members->size());
  for (const json::key_value_pair& member : *members) {
    const std::string_view name{member.key().data(), member.key().size()};
    result<std::string> value = read_text(member.value(), {&field, name});
    if (!value) return std::unexpected(std::move(value.error()));
    labels.emplace_back(name, std::move(*value));
  }
  std::ranges::sort(labels);
  return labels;
}

result<backoff_spec> read_backoff(const json::value& from, const field_path& field,
                                  backoff_spec base) {
  result<void> read = read_members<backoff_spec>(from, backoff_rules, base, field);
  if (!read) return std::unexpected(std::move(read.error()));
  return base;
}

result<engine::durability> read_durability(const json::value& from, const field_path& field) {
  using engine::durability;
  static constexpr std::array levels{
      std::pair{std::string_view{"durable"}, durability::durable},
      std::pair{std::string_view{"async"}, durability::async},
      std::pair{std::string_view{"memory"}, durability::memory},
  };
  return read_word(from, field, levels);
}

result<std::string> read_raw(std::string_view text, std::string_view member) {
  const std::optional<std::string_view> raw = raw_member(text, member);
  if (!raw) return std::string{};
  if (raw->size() > engine::item_bytes_max) {
    return fail(
        errc::too_large, "item_too_large",
        fmt::format("{} is {} bytes long; at most {} are allowed. Keep large data elsewhere "
                    "and send a reference.",
                    member, raw->size(), engine::item_bytes_max),
        std::string{member});
  }
  return std::string{*raw};
}

}  // namespace millrace::http
