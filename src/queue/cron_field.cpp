#include "cron_field.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace millrace {
namespace {

char upper(char c) noexcept { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

bool same_word(std::string_view a, std::string_view b) noexcept {
  return std::ranges::equal(a, b, {}, upper, upper);
}

std::string expected(const cron_field_rule& rule) {
  if (rule.words.empty()) return fmt::format("{} to {}", rule.min, rule.max);
  return fmt::format("{} to {} or {} to {}", rule.min, rule.max, rule.words.front(),
                     rule.words.back());
}

// `SAT-SUN` and `5-SUN`: at the end of a range Sunday is the seventh day.
unsigned range_end(const cron_field_rule& rule, unsigned first, unsigned last) {
  return rule.max == 7 && last == 0 && first > 0 ? 7 : last;
}

}  // namespace

std::unexpected<error> bad_cron_item(const cron_field_rule& rule, cron_text item,
                                     std::string_view why) {
  return invalid(
      "schedule",
      fmt::format("{} field '{}' (character {}): {}", rule.name, item.text, item.column, why),
      "invalid_cron");
}

std::optional<unsigned> cron_number(std::string_view text) {
  if (text.empty() || text.size() > 4) return std::nullopt;
  unsigned value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<unsigned> cron_value(const cron_field_rule& rule, std::string_view text) {
  for (std::size_t i = 0; i < rule.words.size(); ++i) {
    if (same_word(text, rule.words[i])) return rule.min + static_cast<unsigned>(i);
  }
  const auto value = cron_number(text);
  if (!value || *value < rule.min || *value > rule.max) return std::nullopt;
  return value;
}

result<std::uint64_t> parse_cron_item(const cron_field_rule& rule, cron_text item) {
  const std::size_t slash = item.text.find('/');
  const std::string_view values = item.text.substr(0, slash);
  const bool stepped = slash != std::string_view::npos;

  unsigned step = 1;
  if (stepped) {
    const auto given = cron_number(item.text.substr(slash + 1));
    if (!given || *given == 0 || *given > rule.max) {
      return bad_cron_item(rule, item, fmt::format("the step after '/' is 1 to {}", rule.max));
    }
    step = *given;
  }

  unsigned first = rule.min;
  unsigned last = rule.max;
  if (values != "*") {
    const std::size_t dash = values.find('-');
    const auto from = cron_value(rule, values.substr(0, dash));
    if (!from) return bad_cron_item(rule, item, expected(rule));
    first = *from;
    if (dash != std::string_view::npos) {
      const auto to = cron_value(rule, values.substr(dash + 1));
      if (!to) return bad_cron_item(rule, item, expected(rule));
      last = range_end(rule, first, *to);
      if (last < first) {
        return bad_cron_item(rule, item,
                             fmt::format("the range runs backwards; write {}-{},{}-{}", first,
                                         rule.max, rule.min, last));
      }
    } else if (!stepped) {
      last = first;
    }
  }
  std::uint64_t mask = 0;
  for (unsigned value = first; value <= last; value += step) mask |= std::uint64_t{1} << value;
  return mask;
}

bool next_cron_piece(cron_text& rest, char by, cron_text& piece) {
  if (rest.text.data() == nullptr) return false;
  const std::size_t at = rest.text.find(by);
  piece = {rest.text.substr(0, at), rest.column};
  if (at == std::string_view::npos) {
    rest.text = {};
  } else {
    rest = {rest.text.substr(at + 1), rest.column + at + 1};
  }
  return true;
}

}  // namespace millrace
