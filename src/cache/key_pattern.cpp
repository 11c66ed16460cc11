#include <millrace/cache/key_pattern.hpp>

#include <millrace/base/names.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace millrace::cache {

namespace {

bool is_part_name(std::string_view name) noexcept {
  constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyz0123456789_";
  return !name.empty() && name[0] >= 'a' && name[0] <= 'z' &&
         name.find_first_not_of(allowed) == std::string_view::npos;
}

std::unexpected<error> wrong(std::string_view setting, std::string_view pattern,
                             std::string_view what) {
  return invalid(std::string(setting), fmt::format("the pattern '{}': {}", excerpt(pattern), what),
                 "invalid_pattern");
}

result<key_pattern::field> parse_field(std::string_view text, std::string_view whole,
                                       std::string_view setting) {
  if (text.empty()) return wrong(setting, whole, "a field between ':' is empty");
  const std::size_t open = text.find('{');
  const std::size_t close = text.find('}');
  key_pattern::field made;
  if (open == std::string_view::npos && close == std::string_view::npos) {
    made.before = text;
    return made;
  }
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) {
    return wrong(setting, whole, "a '{' and a '}' belong together");
  }
  made.before = text.substr(0, open);
  made.part = text.substr(open + 1, close - open - 1);
  made.after = text.substr(close + 1);
  if (!is_part_name(made.part)) {
    return wrong(setting, whole, "a part is named with a-z, 0-9 and _, like {bot_id}");
  }
  if (made.after.find_first_of("{}") != std::string::npos) {
    return wrong(setting, whole, "one part in a field; separate two with ':'");
  }
  return made;
}

// How two fields stand to each other; literals are fields that say everything.
pattern_relation compare(const key_pattern::field& a, const key_pattern::field& b) noexcept {
  std::string_view value;
  if (a.part.empty() && b.part.empty()) {
    return a.before == b.before ? pattern_relation::ambiguous : pattern_relation::disjoint;
  }
  if (a.part.empty()) {
    return matches(b, a.before, value) ? pattern_relation::more_specific
                                       : pattern_relation::disjoint;
  }
  if (b.part.empty()) {
    return matches(a, b.before, value) ? pattern_relation::less_specific
                                       : pattern_relation::disjoint;
  }
  const bool a_within = a.before.starts_with(b.before) && a.after.ends_with(b.after);
  const bool b_within = b.before.starts_with(a.before) && b.after.ends_with(a.after);
  if (a_within && b_within) return pattern_relation::ambiguous;
  if (a_within) return pattern_relation::more_specific;
  if (b_within) return pattern_relation::less_specific;
  const bool meet = (a.before.starts_with(b.before) || b.before.starts_with(a.before)) &&
                    (a.after.ends_with(b.after) || b.after.ends_with(a.after));
  // `a{x}` and `{x}b` meet in `a…b`, and neither lies within the other.
  return meet ? pattern_relation::ambiguous : pattern_relation::disjoint;
}

bool same_shape(const key_pattern::field& a, const key_pattern::field& b) noexcept {
  return a.before == b.before && a.after == b.after && a.part.empty() == b.part.empty();
}

}  // namespace

result<key_pattern> key_pattern::parse(std::string_view text, std::string_view setting) {
  if (auto checked = check_key(text, setting); !checked) return std::unexpected(checked.error());
  if (text.find('*') != std::string_view::npos) {
    return wrong(setting, text, "a '*' is only known to rules; name the part instead");
  }
  key_pattern made;
  made.text_ = text;
  bool literal = false;
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t end = std::min(text.find(':', from), text.size());
    auto one = parse_field(text.substr(from, end - from), text, setting);
    if (!one) return std::unexpected(one.error());
    literal = literal || !one->before.empty() || !one->after.empty();
    if (!one->part.empty()) {
      if (made.has_part(one->part)) return wrong(setting, text, "a part is named twice");
      made.parts_.push_back(one->part);
    }
    made.fields_.push_back(std::move(*one));
    from = end + 1;
  }
  if (!literal) return wrong(setting, text, "it would take every key; begin with a word");
  if (made.parts_.size() > family_parts_max) {
    return wrong(setting, text, fmt::format("at most {} parts", family_parts_max));
  }
  return made;
}

bool key_pattern::has_part(std::string_view name) const noexcept {
  return std::ranges::find(parts_, name) != parts_.end();
}

result<std::string> key_pattern::fill(std::span<const key_part> with) const {
  std::array<std::string_view, family_parts_max> values;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const auto found = std::ranges::find(with, std::string_view{parts_[i]}, &key_part::name);
    if (found == with.end()) {
      return invalid(parts_[i], fmt::format("'{}' needs the part '{}'", text_, parts_[i]),
                     "missing_part");
    }
    const std::string_view value = found->value;
    if (value.empty() || value.find(':') != std::string_view::npos ||
        has_control_characters(value) || !is_utf8(value)) {
      return invalid(
          parts_[i],
          fmt::format("'{}' cannot be the part '{}' of '{}': it is UTF-8 of at least one "
                      "byte, without ':' and control characters; encode or hash it",
                      excerpt(value), parts_[i], text_),
          "invalid_part");
    }
    values[i] = value;
  }
  std::string made = fill_in_order(std::span(values).first(parts_.size()));
  if (made.size() > key_bytes_max) {
    return invalid("key",
                   fmt::format("'{}' gives a key of {} bytes with these parts, at most {}; hash "
                               "the long part",
                               text_, made.size(), key_bytes_max),
                   "key_too_long");
  }
  return made;
}

std::string key_pattern::fill_in_order(std::span<const std::string_view> values) const {
  std::string made;
  std::size_t next = 0;
  for (const field& one : fields_) {
    if (&one != fields_.data()) made += ':';
    made += one.before;
    if (!one.part.empty()) made += values[next++];
    made += one.after;
  }
  return made;
}

bool matches(const key_pattern::field& shape, std::string_view text,
             std::string_view& value) noexcept {
  if (shape.part.empty()) return text == shape.before;
  if (text.size() <= shape.before.size() + shape.after.size()) return false;
  if (!text.starts_with(shape.before) || !text.ends_with(shape.after)) return false;
  value = text.substr(shape.before.size(), text.size() - shape.before.size() - shape.after.size());
  return true;
}

bool may_meet(const key_pattern::field& a, const key_pattern::field& b) noexcept {
  return compare(a, b) != pattern_relation::disjoint;
}

pattern_relation compare(const key_pattern& a, const key_pattern& b) noexcept {
  if (a.fields().size() != b.fields().size()) return pattern_relation::disjoint;
  bool more = false;
  bool less = false;
  bool crossed = false;
  for (std::size_t i = 0; i < a.fields().size(); ++i) {
    const auto& left = a.fields()[i];
    const auto& right = b.fields()[i];
    switch (compare(left, right)) {
      case pattern_relation::disjoint: return pattern_relation::disjoint;
      case pattern_relation::more_specific: more = true; break;
      case pattern_relation::less_specific: less = true; break;
      case pattern_relation::ambiguous: crossed = crossed || !same_shape(left, right); break;
    }
  }
  if (crossed || more == less) return pattern_relation::ambiguous;
  return more ? pattern_relation::more_specific : pattern_relation::less_specific;
}

}  // namespace millrace::cache
