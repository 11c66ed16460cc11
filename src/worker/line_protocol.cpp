#include <millrace/worker/line_protocol.hpp>

#include "clean_text.hpp"

#include <millrace/base/assert.hpp>
#include <millrace/base/json.hpp>
#include <millrace/base/text_time.hpp>
#include <millrace/engine/limits.hpp>
#include <millrace/worker/limits.hpp>

#include <boost/json/value.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

namespace millrace {
namespace {

using worker_detail::as_json;
using worker_detail::clean_text;
using worker_detail::trimmed;

line_logged log_line(std::string_view text) {
  return {clean_text(text, engine::log_line_bytes_max)};
}

// A command that does not parse is told, not obeyed by halves.
line_logged not_understood(std::string_view line, std::string_view why) {
  return log_line(fmt::format("[not understood: {}] {}", why, clean_text(line, 512)));
}

output_event parse_progress(std::string_view line, std::string_view arguments) {
  const std::size_t blank = std::min(arguments.find_first_of(" \t"), arguments.size());
  const std::string_view number = arguments.substr(0, blank);
  double value = 0;
  const auto [end, ec] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (ec != std::errc{} || end != number.data() + number.size() || !std::isfinite(value) ||
      value < 0 || value > 1) {
    return not_understood(line, "the progress is no number from 0 to 1");
  }
  return progress_said{
      .value = value,
      .message = clean_text(trimmed(arguments.substr(blank)), engine::message_bytes_max)};
}

output_event parse_checkpoint(std::string_view line, std::string_view arguments) {
  if (!check_json(arguments)) return not_understood(line, "the checkpoint is no JSON");
  if (arguments.size() > engine::item_bytes_max) {
    return not_understood(line, "the checkpoint is too large");
  }
  return checkpoint_said{std::string{arguments}};
}

output_event parse_done(std::string_view arguments, std::size_t bytes_max) {
  if (arguments.empty()) return done_said{"null"};
  std::string json = as_json(arguments);
  if (json.size() > bytes_max) {
    return fail_said{fmt::format("result_too_large: the result has more than {} bytes", bytes_max),
                     true, std::nullopt};
  }
  return done_said{std::move(json)};
}

std::optional<duration> parse_retry(const json::value& value) {
  if (!value.is_number()) return std::nullopt;
  const auto span = seconds_to_duration(value.to_number<double>(), engine::delay_max, "retry_in");
  if (!span) return std::nullopt;
  return *span;
}

output_event parse_fail(std::string_view arguments) {
  fail_said failure{.error = clean_text(arguments, engine::error_bytes_max),
                    .permanent = false,
                    .retry_in = std::nullopt};
  const auto parsed = parse_json(arguments);
  if (parsed && parsed->is_string()) {
    failure.error = clean_text(parsed->get_string(), engine::error_bytes_max);
  }
  if (parsed && parsed->is_object()) {
    const json::object& told = parsed->get_object();
    if (const json::value* error = told.if_contains("error"); error && error->is_string()) {
      failure.error = clean_text(error->get_string(), engine::error_bytes_max);
    }
    if (const json::value* permanent = told.if_contains("permanent")) {
      failure.permanent = permanent->is_bool() && permanent->get_bool();
    }
    if (const json::value* retry = told.if_contains("retry_in")) {
      failure.retry_in = parse_retry(*retry);
    }
  }
  if (failure.error.empty()) failure.error = "the program failed and did not say why";
  return failure;
}

// The arguments, where the line is this command; empty arguments are not none.
std::optional<std::string_view> arguments_of(std::string_view line, std::string_view command) {
  if (!line.starts_with(command)) return std::nullopt;
  line.remove_prefix(command.size());
  if (!line.empty() && line.front() != ' ' && line.front() != '\t') return std::nullopt;
  return trimmed(line);
}

// What the line says, where it is a command of the mode.
std::optional<output_event> parse_command(std::string_view line, exec_mode mode,
                                          std::size_t bytes_max) {
  if (!line.starts_with("::")) return std::nullopt;
  if (const auto rest = arguments_of(line, "::progress")) return parse_progress(line, *rest);
  if (const auto rest = arguments_of(line, "::log")) return log_line(*rest);
  if (const auto rest = arguments_of(line, "::checkpoint")) return parse_checkpoint(line, *rest);
  if (mode == exec_mode::long_lived) {
    if (const auto rest = arguments_of(line, "::done")) return parse_done(*rest, bytes_max);
    if (const auto rest = arguments_of(line, "::fail")) return parse_fail(*rest);
  }
  return std::nullopt;
}

std::unexpected<error> too_large(std::size_t bytes_max) {
  return fail(
      errc::too_large, "result_too_large",
      fmt::format("result_too_large: the last line of stdout, which is the result, has more "
                  "than {} bytes",
                  bytes_max));
}

}  // namespace

output_parser::output_parser(exec_mode mode, std::size_t line_bytes_max)
    : mode_(mode), line_bytes_max_(line_bytes_max) {
  MILLRACE_ASSERT(line_bytes_max > 0);
}

void output_parser::feed(std::string_view bytes, const sink& take) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, end);
    // One byte of room for the carriage return that may turn out to belong to the line end.
    const std::size_t room = line_bytes_max_ + 1 - line_.size();
    line_.append(piece.substr(0, room));
    if (piece.size() > room) line_cut_ = true;
    if (end == std::string_view::npos) return;
    end_line(take);
    bytes.remove_prefix(end + 1);
  }
}

void output_parser::end_line(const sink& take) {
  std::string line = std::exchange(line_, {});
  bool cut = std::exchange(line_cut_, false);
  if (!cut && line.ends_with('\r')) line.pop_back();
  if (line.size() > line_bytes_max_) cut = true;
  if (trimmed(line).empty() && !cut) return;
  if (cut) {
    // Too long for a command, but an answer it must be, or the program would wait for ever.
    const bool answers = mode_ == exec_mode::long_lived &&
                         (arguments_of(line, "::done") || arguments_of(line, "::fail"));
    if (answers) return take(fail_said{too_large(line_bytes_max_).error().detail, true, {}});
  } else if (auto said = parse_command(line, mode_, line_bytes_max_)) {
    return take(std::move(*said));
  }
  take_text(std::move(line), cut, take);
}

void output_parser::take_text(std::string line, bool cut, const sink& take) {
  if (mode_ == exec_mode::long_lived) return take(log_line(line));
  if (latest_) take(log_line(*latest_));
  if (cut) {
    // It can only become a line of the log now; the rest of it need not be held.
    line.resize(std::min(line.size(), engine::log_line_bytes_max));
    line.shrink_to_fit();
  }
  latest_ = std::move(line);
  latest_cut_ = cut;
}

result<std::string> output_parser::finish(const sink& take) {
  if (!line_.empty() || line_cut_) end_line(take);
  if (!latest_) return "null";
  const std::string last = std::move(*latest_);
  latest_.reset();
  if (latest_cut_) return too_large(line_bytes_max_);
  std::string json = as_json(trimmed(last));
  if (json.size() > line_bytes_max_) return too_large(line_bytes_max_);
  return json;
}

namespace {

constexpr std::string_view retry_word = "retry-in:";

bool is_retry_line(std::string_view line) {
  line = trimmed(line);
  return line.size() > retry_word.size() &&
         std::ranges::equal(line.substr(0, retry_word.size()), retry_word, [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
         });
}

template <class Take>
void for_each_line(std::string_view text, Take take) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    take(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

}  // namespace

void stderr_tail::feed(std::string_view bytes) {
  // Twice the bound, so that the front is cut once in a while and not with every piece.
  constexpr std::size_t kept_max = 2 * stderr_bytes_kept;
  if (bytes.size() > stderr_bytes_kept) {
    bytes.remove_prefix(bytes.size() - stderr_bytes_kept);
    kept_.clear();
    cut_ = true;
  }
  kept_ += bytes;
  if (kept_.size() > kept_max) {
    kept_.erase(0, kept_.size() - stderr_bytes_kept);
    cut_ = true;
  }
}

void stderr_tail::clear() noexcept {
  kept_.clear();
  cut_ = false;
}

std::string stderr_tail::text(std::size_t bytes_max) const {
  std::string lines;
  for_each_line(kept_, [&lines](std::string_view line) {
    if (is_retry_line(line)) return;
    lines.append(line).push_back('\n');
  });
  // U+FFFD is longer than the byte it stands for, so the end is chosen after cleaning.
  const std::string clean = clean_text(lines, 3 * lines.size());
  std::string_view last = trimmed(clean);
  if (last.size() <= bytes_max && !cut_) return std::string{last};
  if (last.size() > bytes_max) last.remove_prefix(last.size() - bytes_max);
  // Begin with a whole line where there is one, else at least with a whole character.
  const std::size_t line_end = last.find('\n');
  if (line_end != std::string_view::npos && line_end + 1 < last.size()) {
    last.remove_prefix(line_end + 1);
  } else {
    while (!last.empty() && (static_cast<unsigned char>(last.front()) & 0xc0U) == 0x80U) {
      last.remove_prefix(1);
    }
  }
  return std::string{trimmed(last)};
}

std::optional<duration> stderr_tail::retry_in() const {
  std::optional<duration> latest;
  for_each_line(kept_, [&latest](std::string_view line) {
    if (!is_retry_line(line)) return;
    const auto value = trimmed(trimmed(line).substr(retry_word.size()));
    if (const auto span = parse_duration(value, "Retry-In")) {
      latest = std::min<duration>(*span, engine::delay_max);
    }
  });
  return latest;
}

}  // namespace millrace
