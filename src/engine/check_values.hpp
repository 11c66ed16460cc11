#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/base/error.hpp>
#include <millrace/engine/job.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

/// The checks of single values that those of whole requests are made of.
namespace millrace::engine {

/// What a value is called in an error: `prefix` and `name` side by side, joined only when needed.
struct field_name {
  std::string_view prefix;
  std::string_view name;
  [[nodiscard]] std::string text() const;
};

[[nodiscard]] result<void> check_range(std::uint64_t value, std::uint64_t low, std::uint64_t high,
                                       field_name field);
[[nodiscard]] result<void> check_range(duration value, duration low, duration high,
                                       field_name field);
/// Zero, or within the bounds of a lease.
[[nodiscard]] result<void> check_lease(duration value, field_name field);
/// 1970 to 2200.
[[nodiscard]] result<void> check_time(timestamp value, field_name field);
/// UTF-8 without control characters; may be empty.
[[nodiscard]] result<void> check_line(std::string_view text, std::size_t bytes_max,
                                      field_name field);
/// UTF-8; may be empty and have several lines.
[[nodiscard]] result<void> check_text(std::string_view text, std::size_t bytes_max,
                                      field_name field);
/// One JSON text of at most `item_bytes_max`.
[[nodiscard]] result<void> check_item(std::string_view text, field_name field);
[[nodiscard]] result<void> check_backoff(const backoff_spec& spec, std::string_view prefix);
[[nodiscard]] result<void> check_queue_key(const queue_key& key);
[[nodiscard]] result<void> check_job_spec(const job_spec& spec, std::string_view prefix);

}  // namespace millrace::engine
