#pragma once

#include <millrace/base/clock.hpp>

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string_view>
#include <variant>

namespace spdlog {
class logger;
}

namespace millrace::observe {

enum class log_level : std::uint8_t { debug, info, warning, error, off };

/// Also takes `warn`.
[[nodiscard]] std::optional<log_level> parse_log_level(std::string_view text) noexcept;
[[nodiscard]] std::string_view to_string(log_level level) noexcept;

enum class log_format : std::uint8_t {
  /// `2026-11-20T04:52:11.123Z info listening address=http://127.0.0.1:7070`, for people.
  text,
  /// `{"time":…,"level":…,"event":…, fields…}`, one object a line, for machines.
  json,
};

[[nodiscard]] std::optional<log_format> parse_log_format(std::string_view text) noexcept;

/// One fact of an event. Names are snake_case and the same everywhere: `correlation_id`, `project`,
/// `capability`, `queue`, `job_id`, `error`, `took_seconds`.
struct log_field {
  using value_type = std::variant<std::string_view, std::int64_t, std::uint64_t, double, bool>;

  template <class Value>
  log_field(std::string_view field, const Value& given) : name(field), value(to_value(given)) {}

  std::string_view name;
  value_type value;

private:
  template <class Value>
  static value_type to_value(const Value& given) {
    if constexpr (std::same_as<Value, bool>) {
      return given;
    } else if constexpr (std::signed_integral<Value>) {
      return std::int64_t{given};
    } else if constexpr (std::unsigned_integral<Value>) {
      return std::uint64_t{given};
    } else if constexpr (std::floating_point<Value>) {
      return static_cast<double>(given);
    } else {
      return std::string_view{given};
    }
  }
};

struct log_options {
  log_format format{log_format::text};
  /// Events below it are left out; `off` leaves out all.
  log_level level{log_level::info};
  /// Where lines go; not owned. Empty: stderr.
  std::ostream* to{nullptr};
  /// What lines are stamped with; not owned. Empty: the system's.
  const clock_source* clock{nullptr};
};

/// Tells what happens, as events with fields rather than as sentences. Whoever may log is given
/// one: there is no logger of the process.
///
/// Guarantees: one line an event, whatever its fields hold: line breaks, quotes and control
///             characters are escaped, invalid UTF-8 is replaced. A payload (data, result,
///             checkpoint of a job) is never a field; that is the caller's duty.
/// Threading:  every member from any thread; lines are not mixed.
/// Cost:       an event below the level costs a comparison; others one write, not buffered.
/// Limits:     a value longer than `value_bytes_max` is cut.
class logger final {
public:
  static constexpr std::size_t value_bytes_max = 2048;

  explicit logger(log_options options = {});
  ~logger();
  logger(const logger&) = delete;
  logger& operator=(const logger&) = delete;

  /// `logger.event(log_level::info, "job_completed", {{"job_id", id}, {"took_seconds", 0.2}});`
  void event(log_level level, std::string_view what,
             std::initializer_list<log_field> fields = {}) const noexcept;

  [[nodiscard]] bool wants(log_level level) const noexcept { return level >= options_.level; }

private:
  log_options options_;
  std::shared_ptr<spdlog::logger> out_;
};

}  // namespace millrace::observe
