#include "cron_field.hpp"

#include <millrace/engine/limits.hpp>
#include <millrace/queue/cron_line.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace millrace {
namespace {

constexpr std::array<std::string_view, 12> month_words{"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                                       "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
constexpr std::array<std::string_view, 7> weekday_words{"SUN", "MON", "TUE", "WED",
                                                        "THU", "FRI", "SAT"};

constexpr cron_field_rule second_rule{.name = "second", .min = 0, .max = 59};
constexpr cron_field_rule minute_rule{.name = "minute", .min = 0, .max = 59};
constexpr cron_field_rule hour_rule{.name = "hour", .min = 0, .max = 23};
constexpr cron_field_rule day_rule{.name = "day of month", .min = 1, .max = 31};
constexpr cron_field_rule month_rule{.name = "month", .min = 1, .max = 12, .words = month_words};
constexpr cron_field_rule weekday_rule{
    .name = "day of week", .min = 0, .max = 7, .words = weekday_words};

constexpr std::array<std::pair<std::string_view, std::string_view>, 7> macros{{
    {"@hourly", "0 * * * *"},
    {"@daily", "0 0 * * *"},
    {"@midnight", "0 0 * * *"},
    {"@weekly", "0 0 * * 0"},
    {"@monthly", "0 0 1 * *"},
    {"@yearly", "0 0 1 1 *"},
    {"@annually", "0 0 1 1 *"},
}};

std::unexpected<error> bad_line(std::string why) {
  return invalid("schedule", std::move(why), "invalid_cron");
}

std::vector<cron_text> words_of(std::string_view line) {
  std::vector<cron_text> words;
  std::size_t at = 0;
  while (true) {
    const std::size_t begin = line.find_first_not_of(" \t", at);
    if (begin == std::string_view::npos) return words;
    const std::size_t end = std::min(line.find_first_of(" \t", begin), line.size());
    words.push_back({line.substr(begin, end - begin), begin + 1});
    at = end;
  }
}

bool is_open(std::string_view field) noexcept { return field.front() == '*' || field == "?"; }

result<std::uint64_t> parse_values(const cron_field_rule& rule, cron_text field) {
  std::uint64_t mask = 0;
  cron_text item;
  while (next_cron_piece(field, ',', item)) {
    const auto values = parse_cron_item(rule, item);
    if (!values) return values;
    mask |= *values;
  }
  return mask;
}

bool is_letter(char c, char lower) noexcept { return c == lower || c == lower - 'a' + 'A'; }

}  // namespace

/// Fills a `cron_line` field by field.
class cron_line_parser final {
public:
  [[nodiscard]] result<cron_line> parse(const std::vector<cron_text>& words) {
    const std::size_t shift = words.size() == 6 ? 1 : 0;
    if (shift == 1) {
      const auto seconds = parse_values(second_rule, words[0]);
      if (!seconds) return std::unexpected(seconds.error());
      line_.seconds_ = *seconds;
    }
    const auto minutes = parse_values(minute_rule, words[shift]);
    if (!minutes) return std::unexpected(minutes.error());
    const auto hours = parse_values(hour_rule, words[shift + 1]);
    if (!hours) return std::unexpected(hours.error());
    const auto days = parse_days(words[shift + 2]);
    if (!days) return std::unexpected(days.error());
    const auto months = parse_values(month_rule, words[shift + 3]);
    if (!months) return std::unexpected(months.error());
    const auto weekdays = parse_weekdays(words[shift + 4]);
    if (!weekdays) return std::unexpected(weekdays.error());
    line_.minutes_ = *minutes;
    line_.hours_ = static_cast<std::uint32_t>(*hours);
    line_.months_ = static_cast<std::uint32_t>(*months);
    return line_;
  }

private:
  result<void> parse_days(cron_text field) {
    line_.day_.by_day = !is_open(field.text);
    if (field.text == "?") field.text = "*";
    cron_text item;
    while (next_cron_piece(field, ',', item)) {
      const auto special = parse_special_day(item);
      if (!special) return std::unexpected(special.error());
      if (*special) continue;
      const auto values = parse_cron_item(day_rule, item);
      if (!values) return std::unexpected(values.error());
      line_.day_.days |= static_cast<std::uint32_t>(*values);
    }
    return {};
  }

  // `L`, `L-3`, `LW`, `15W`; false for anything that looks like none of them.
  result<bool> parse_special_day(cron_text item) {
    const std::string_view text = item.text;
    if (text.empty()) return false;
    if (is_letter(text.front(), 'l')) {
      const std::string_view rest = text.substr(1);
      if (rest.size() == 1 && is_letter(rest.front(), 'w')) {
        line_.day_.near_days |= 1U;
        return true;
      }
      const auto before = rest.starts_with('-') ? cron_number(rest.substr(1))
                          : rest.empty()        ? std::optional<unsigned>{0}
                                                : std::nullopt;
      if (!before || *before > 30) {
        return bad_cron_item(day_rule, item, "after L comes nothing, W, or -1 to -30");
      }
      line_.day_.before_last |= 1U << *before;
      return true;
    }
    if (is_letter(text.back(), 'w')) {
      const auto day = cron_value(day_rule, text.substr(0, text.size() - 1));
      if (!day) return bad_cron_item(day_rule, item, "before W comes one day, 1 to 31, or L");
      line_.day_.near_days |= 1U << *day;
      return true;
    }
    return false;
  }

  result<void> parse_weekdays(cron_text field) {
    line_.day_.by_weekday = !is_open(field.text);
    if (field.text == "?") field.text = "*";
    cron_text item;
    while (next_cron_piece(field, ',', item)) {
      const auto special = parse_special_weekday(item);
      if (!special) return std::unexpected(special.error());
      if (*special) continue;
      const auto values = parse_cron_item(weekday_rule, item);
      if (!values) return std::unexpected(values.error());
      const auto sunday_twice = static_cast<std::uint8_t>((*values | *values >> 7) & 0x7fU);
      line_.day_.weekdays |= sunday_twice;
    }
    return {};
  }

  // `MON#2`, `FRIL`; false for anything that looks like neither.
  result<bool> parse_special_weekday(cron_text item) {
    const std::string_view text = item.text;
    const std::size_t hash = text.find('#');
    if (hash != std::string_view::npos) {
      const auto weekday = cron_value(weekday_rule, text.substr(0, hash));
      const auto nth = cron_number(text.substr(hash + 1));
      if (!weekday || !nth || *nth < 1 || *nth > 5) {
        return bad_cron_item(weekday_rule, item, "a weekday, '#' and 1 to 5");
      }
      line_.day_.nth[*nth - 1] |= static_cast<std::uint8_t>(1U << *weekday % 7);
      return true;
    }
    if (text.size() >= 2 && is_letter(text.back(), 'l')) {
      const auto weekday = cron_value(weekday_rule, text.substr(0, text.size() - 1));
      if (!weekday) return bad_cron_item(weekday_rule, item, "before L comes one weekday");
      line_.day_.last_of_kind |= static_cast<std::uint8_t>(1U << *weekday % 7);
      return true;
    }
    return false;
  }

  cron_line line_;
};

result<cron_line> cron_line::parse(std::string_view line) {
  if (line.size() > engine::schedule_bytes_max) {
    return bad_line(
        fmt::format("a cron line has at most {} characters", engine::schedule_bytes_max));
  }
  auto words = words_of(line);
  if (words.size() == 1 && words.front().text.starts_with('@')) {
    const auto known = std::ranges::find(macros, words.front().text,
                                         [](const auto& macro) { return macro.first; });
    if (known == macros.end()) {
      return bad_line(
          fmt::format("'{}' is none of @hourly, @daily, @midnight, @weekly, @monthly, "
                      "@yearly, @annually and @every 90s",
                      words.front().text));
    }
    words = words_of(known->second);
  }
  if (words.size() != 5 && words.size() != 6) {
    return bad_line(
        fmt::format("a cron line has 5 fields (minute hour day-of-month month "
                    "day-of-week) or 6 with leading seconds; this one has {}",
                    words.size()));
  }
  auto parsed = cron_line_parser{}.parse(words);
  if (parsed && !parsed->first_from(std::chrono::local_seconds{})) {
    return invalid("schedule", "schedule never fires: no month has the days it asks for",
                   "cron_never_fires");
  }
  return parsed;
}

}  // namespace millrace
