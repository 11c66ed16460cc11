#include "config_value.hpp"

#include <millrace/base/text_time.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <ranges>
#include <system_error>
#include <utility>

namespace millrace::cli {
namespace {

template <class Number>
std::optional<Number> whole_number(std::string_view text) {
  Number number = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (ec != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

struct byte_unit {
  std::string_view name;
  std::size_t bytes;
};
constexpr std::array byte_units{byte_unit{"GiB", std::size_t{1} << 30U},
                                byte_unit{"MiB", std::size_t{1} << 20U},
                                byte_unit{"KiB", std::size_t{1} << 10U}, byte_unit{"B", 1}};

std::optional<std::size_t> parse_bytes(std::string_view text) {
  std::size_t unit = 1;
  for (const byte_unit& one : byte_units) {
    if (text.ends_with(one.name)) {
      unit = one.bytes;
      text.remove_suffix(one.name.size());
      break;
    }
  }
  const auto number = whole_number<std::size_t>(text);
  if (!number || *number > (std::size_t{1} << 50U) / unit) return std::nullopt;
  return *number * unit;
}

template <class Enum, std::size_t Count>
result<Enum> parse_word(const std::array<std::pair<Enum, std::string_view>, Count>& words,
                        std::string_view text, std::string_view field) {
  for (const auto& [value, word] : words) {
    if (word == text) return value;
  }
  return invalid(std::string{field}, fmt::format("'{}' is not one of {}", text,
                                                 fmt::join(words | std::views::values, ", ")));
}

constexpr std::array strategies{
    std::pair<backoff_strategy, std::string_view>{backoff_strategy::exponential, "exponential"},
    std::pair<backoff_strategy, std::string_view>{backoff_strategy::linear, "linear"},
    std::pair<backoff_strategy, std::string_view>{backoff_strategy::fixed, "fixed"},
    std::pair<backoff_strategy, std::string_view>{backoff_strategy::polynomial, "polynomial"}};

constexpr std::array jitters{
    std::pair<backoff_jitter, std::string_view>{backoff_jitter::lengthen, "lengthen"},
    std::pair<backoff_jitter, std::string_view>{backoff_jitter::none, "none"},
    std::pair<backoff_jitter, std::string_view>{backoff_jitter::full, "full"},
    std::pair<backoff_jitter, std::string_view>{backoff_jitter::equal, "equal"}};

}  // namespace

config_value::config_value(any value, std::string place)
    : value_(std::move(value)), place_(std::move(place)) {}

std::string config_value::shown() const {
  struct show {
    std::string operator()(const std::string& text) const { return fmt::format("'{}'", text); }
    std::string operator()(std::int64_t number) const { return fmt::format("{}", number); }
    std::string operator()(double number) const { return fmt::format("{}", number); }
    std::string operator()(bool flag) const { return flag ? "true" : "false"; }
    std::string operator()(const std::vector<std::string>& texts) const {
      return fmt::format("[{}]", fmt::join(texts, ", "));
    }
  };
  return std::visit(show{}, value_);
}

std::vector<std::string> config_value::as_setting() const {
  struct take {
    std::vector<std::string> operator()(const std::string& text) const { return {text}; }
    std::vector<std::string> operator()(std::int64_t number) const {
      return {fmt::format("{}", number)};
    }
    std::vector<std::string> operator()(double number) const { return {fmt::format("{}", number)}; }
    std::vector<std::string> operator()(bool flag) const { return {flag ? "true" : "false"}; }
    std::vector<std::string> operator()(const std::vector<std::string>& texts) const {
      return texts;
    }
  };
  return std::visit(take{}, value_);
}

std::unexpected<error> config_value::refuse(std::string_view allowed) const {
  return invalid(place_, fmt::format("{} is not {}", shown(), allowed), "invalid_configuration");
}

result<std::string> config_value::as_text() const {
  if (const auto* text = std::get_if<std::string>(&value_)) return *text;
  return refuse("a text in quotes");
}

result<std::vector<std::string>> config_value::as_texts() const {
  if (const auto* texts = std::get_if<std::vector<std::string>>(&value_)) return *texts;
  const auto* text = std::get_if<std::string>(&value_);
  if (text == nullptr) return refuse("a text or a list of texts");
  std::vector<std::string> parts;
  for (const auto part : std::views::split(*text, ',')) {
    std::string_view trimmed{part.begin(), part.end()};
    const std::size_t begin = std::min(trimmed.find_first_not_of(' '), trimmed.size());
    trimmed.remove_prefix(begin);
    trimmed = trimmed.substr(0, trimmed.find_last_not_of(' ') + 1);
    if (!trimmed.empty()) parts.emplace_back(trimmed);
  }
  return parts;
}

result<std::int64_t> config_value::as_integer(std::int64_t min, std::int64_t max) const {
  std::optional<std::int64_t> number;
  if (const auto* integer = std::get_if<std::int64_t>(&value_)) number = *integer;
  if (const auto* text = std::get_if<std::string>(&value_))
    number = whole_number<std::int64_t>(*text);
  if (!number || *number < min || *number > max) {
    return refuse(fmt::format("a whole number from {} to {}", min, max));
  }
  return *number;
}

result<duration> config_value::as_span(duration min, duration max) const {
  const auto allowed = fmt::format("a time from {} to {} (500ms, 30s, 5m, 24h, 7d)",
                                   format_duration(min), format_duration(max));
  result<duration> span = refuse(allowed);
  if (const auto* text = std::get_if<std::string>(&value_)) {
    span = parse_duration(*text, place_);
  } else if (const auto* seconds = std::get_if<std::int64_t>(&value_)) {
    span = seconds_to_duration(static_cast<double>(*seconds), max, place_);
  } else if (const auto* parts = std::get_if<double>(&value_)) {
    span = seconds_to_duration(*parts, max, place_);
  }
  if (!span || *span < min || *span > max) return refuse(allowed);
  return span;
}

result<std::size_t> config_value::as_bytes(std::size_t min, std::size_t max) const {
  std::optional<std::size_t> bytes;
  if (const auto* text = std::get_if<std::string>(&value_)) bytes = parse_bytes(*text);
  if (const auto* number = std::get_if<std::int64_t>(&value_); number != nullptr && *number >= 0) {
    bytes = static_cast<std::size_t>(*number);
  }
  if (!bytes || *bytes < min || *bytes > max) {
    return refuse(fmt::format("a size from {} to {} bytes (64MiB, 512KiB, 1048576)", min, max));
  }
  return *bytes;
}

result<double> config_value::as_share(double max) const {
  std::optional<double> share;
  if (const auto* number = std::get_if<double>(&value_)) share = *number;
  if (const auto* whole = std::get_if<std::int64_t>(&value_)) share = static_cast<double>(*whole);
  if (!share || !(*share >= 0) || *share > max) {
    return refuse(fmt::format("a share from 0 to {}", max));
  }
  return *share;
}

result<bool> config_value::as_flag() const {
  if (const auto* flag = std::get_if<bool>(&value_)) return *flag;
  const auto* text = std::get_if<std::string>(&value_);
  if (text != nullptr && *text == "true") return true;
  if (text != nullptr && *text == "false") return false;
  return refuse("true or false");
}

result<std::string> config_value::as_choice(std::vector<std::string_view> allowed) const {
  const auto* text = std::get_if<std::string>(&value_);
  if (text != nullptr && std::ranges::find(allowed, *text) != allowed.end()) return *text;
  return refuse(fmt::format("one of {}", fmt::join(allowed, ", ")));
}

result<engine::rate_bound> parse_rate(std::string_view text, std::string_view field) {
  if (text == "none") return engine::rate_bound{};
  const auto refuse = [&] {
    return invalid(std::string{field},
                   fmt::format("'{}' is not a rate: write 10/s, 600/m, 5/30s (1 to 10000 starts "
                               "per 1ms to 24h) or none",
                               text));
  };
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return refuse();
  const auto limit = whole_number<std::uint32_t>(text.substr(0, slash));
  std::string per{text.substr(slash + 1)};
  if (!per.empty() && (per.front() < '0' || per.front() > '9')) per.insert(0, "1");
  const auto span = parse_duration(per, field);
  const bool sound = limit && *limit >= 1 && *limit <= 10'000 && span &&
                     *span >= std::chrono::milliseconds{1} && *span <= std::chrono::hours{24};
  if (!sound) return refuse();
  return engine::rate_bound{.limit = *limit, .per = *span};
}

result<backoff_strategy> parse_strategy(std::string_view text, std::string_view field) {
  return parse_word(strategies, text, field);
}

result<backoff_jitter> parse_jitter(std::string_view text, std::string_view field) {
  return parse_word(jitters, text, field);
}

std::string_view to_string(backoff_strategy strategy) noexcept {
  return strategies[static_cast<std::size_t>(strategy)].second;
}

std::string_view to_string(backoff_jitter jitter) noexcept {
  return jitters[static_cast<std::size_t>(jitter)].second;
}

}  // namespace millrace::cli
