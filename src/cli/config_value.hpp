#pragma once

#include <millrace/base/backoff.hpp>
#include <millrace/base/clock.hpp>
#include <millrace/base/error.hpp>
#include <millrace/engine/job.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace millrace::cli {

/// One value of the configuration, and where it was found, so that a complaint can name the place.
class config_value final {
public:
  using any = std::variant<std::string, std::int64_t, double, bool, std::vector<std::string>>;

  /// `place` is what an error names: `millrace.toml:3: threads`, `MILLRACE_THREADS`, `--threads`.
  config_value(any value, std::string place);

  [[nodiscard]] const std::string& place() const noexcept { return place_; }

  // Errors of all: invalid_argument with the place as its field, the value, and what is allowed.
  [[nodiscard]] result<std::string> as_text() const;
  /// A list, or one text whose parts are separated by commas.
  [[nodiscard]] result<std::vector<std::string>> as_texts() const;
  [[nodiscard]] result<std::int64_t> as_integer(std::int64_t min, std::int64_t max) const;
  /// `30s`, or a number of seconds.
  [[nodiscard]] result<duration> as_span(duration min, duration max) const;
  /// `64MiB`, `2GiB`, `512KiB`, or a number of bytes.
  [[nodiscard]] result<std::size_t> as_bytes(std::size_t min, std::size_t max) const;
  /// From 0 to `max`, which is at most 1.
  [[nodiscard]] result<double> as_share(double max) const;
  /// true or false, also as a text.
  [[nodiscard]] result<bool> as_flag() const;
  [[nodiscard]] result<std::string> as_choice(std::vector<std::string_view> allowed) const;

  /// As it was written, for whoever reads texts: a list as it is, anything else as one.
  [[nodiscard]] std::vector<std::string> as_setting() const;

  [[nodiscard]] std::unexpected<error> refuse(std::string_view allowed) const;

private:
  [[nodiscard]] std::string shown() const;

  any value_;
  std::string place_;
};

/// `10/s`, `600/m`, `5/30s`; `none` for no bound.
[[nodiscard]] result<engine::rate_bound> parse_rate(std::string_view text, std::string_view field);

[[nodiscard]] result<backoff_strategy> parse_strategy(std::string_view text,
                                                      std::string_view field);
[[nodiscard]] result<backoff_jitter> parse_jitter(std::string_view text, std::string_view field);
[[nodiscard]] std::string_view to_string(backoff_strategy strategy) noexcept;
[[nodiscard]] std::string_view to_string(backoff_jitter jitter) noexcept;

}  // namespace millrace::cli
