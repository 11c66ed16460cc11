#include <millrace/observe/logging.hpp>

#include <millrace/base/json.hpp>
#include <millrace/base/names.hpp>
#include <millrace/base/text_time.hpp>

#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string>
#include <utility>

namespace millrace::observe {
namespace {

// Cut where a character begins, and only what is UTF-8: a field may hold what a stranger sent.
std::string presentable(std::string_view text) {
  std::string kept{text.substr(0, logger::value_bytes_max)};
  if (kept.size() < text.size()) {
    while (!kept.empty() && (static_cast<unsigned char>(kept.back()) & 0xc0U) == 0x80U) {
      kept.pop_back();
    }
    if (!kept.empty() && static_cast<unsigned char>(kept.back()) >= 0xc0U) kept.pop_back();
    kept += "…";
  }
  if (!is_utf8(kept)) {
    std::ranges::replace_if(
        kept, [](char c) { return static_cast<unsigned char>(c) >= 0x80U; }, '?');
  }
  return kept;
}

// Bare where that cannot be misread, quoted as in JSON elsewhere.
void append_text_value(std::string& out, std::string_view text) {
  const bool bare = !text.empty() && std::ranges::none_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte <= 0x20 || byte == 0x7f || c == '"' || c == '=' || c == '\\';
  });
  if (bare) {
    out += text;
  } else {
    append_json_string(out, text);
  }
}

void append_number(std::string& out, double number) {
  // JSON knows neither infinity nor NaN.
  if (std::isfinite(number)) {
    fmt::format_to(std::back_inserter(out), "{}", number);
  } else {
    out += "null";
  }
}

void append_value(std::string& out, const log_field::value_type& value, log_format format) {
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    const std::string kept = presentable(*text);
    if (format == log_format::json) {
      append_json_string(out, kept);
    } else {
      append_text_value(out, kept);
    }
  } else if (const auto* number = std::get_if<double>(&value)) {
    append_number(out, *number);
  } else if (const auto* flag = std::get_if<bool>(&value)) {
    out += *flag ? "true" : "false";
  } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    fmt::format_to(std::back_inserter(out), "{}", *integer);
  } else {
    fmt::format_to(std::back_inserter(out), "{}", std::get<std::uint64_t>(value));
  }
}

std::string to_line(log_format format, timestamp at, log_level level, std::string_view what,
                    std::initializer_list<log_field> fields) {
  std::string line;
  if (format == log_format::text) {
    line = fmt::format("{} {} {}", to_rfc3339(at), to_string(level), what);
    for (const log_field& field : fields) {
      fmt::format_to(std::back_inserter(line), " {}=", field.name);
      append_value(line, field.value, format);
    }
    return line;
  }
  line = fmt::format(R"({{"time":"{}","level":"{}","event":)", to_rfc3339(at), to_string(level));
  append_json_string(line, what);
  for (const log_field& field : fields) {
    line += ',';
    append_json_string(line, field.name);
    line += ':';
    append_value(line, field.value, format);
  }
  line += '}';
  return line;
}

spdlog::level::level_enum to_spdlog(log_level level) {
  switch (level) {
    case log_level::debug: return spdlog::level::debug;
    case log_level::info: return spdlog::level::info;
    case log_level::warning: return spdlog::level::warn;
    case log_level::error: return spdlog::level::err;
    case log_level::off: break;
  }
  return spdlog::level::off;
}

spdlog::sink_ptr make_sink(std::ostream* to) {
  if (to != nullptr) return std::make_shared<spdlog::sinks::ostream_sink_mt>(*to, true);
  return std::make_shared<spdlog::sinks::stderr_sink_mt>();
}

}  // namespace

std::optional<log_level> parse_log_level(std::string_view text) noexcept {
  using enum log_level;
  for (const log_level level : {debug, info, warning, error, off}) {
    if (text == to_string(level)) return level;
  }
  if (text == "warn") return warning;
  return std::nullopt;
}

std::string_view to_string(log_level level) noexcept {
  switch (level) {
    case log_level::debug: return "debug";
    case log_level::info: return "info";
    case log_level::warning: return "warning";
    case log_level::error: return "error";
    case log_level::off: return "off";
  }
  return "off";
}

std::optional<log_format> parse_log_format(std::string_view text) noexcept {
  if (text == "text") return log_format::text;
  if (text == "json") return log_format::json;
  return std::nullopt;
}

logger::logger(log_options options)
    : options_(options), out_(std::make_shared<spdlog::logger>("millrace", make_sink(options.to))) {
  out_->set_level(to_spdlog(options_.level));
  // The line is made here; spdlog adds its end only.
  out_->set_pattern("%v");
  out_->flush_on(spdlog::level::trace);
}

logger::~logger() = default;

void logger::event(log_level level, std::string_view what,
                   std::initializer_list<log_field> fields) const noexcept {
  if (!wants(level) || level == log_level::off) return;
  try {
    static const system_clock_source wall;
    const clock_source& clock = options_.clock != nullptr ? *options_.clock : wall;
    const std::string line = to_line(options_.format, clock.now(), level, what, fields);
    out_->log(to_spdlog(level), spdlog::string_view_t{line.data(), line.size()});
  } catch (...) {
    // Out of memory while telling: what is told about must not fail for it.
    return;
  }
}

}  // namespace millrace::observe
