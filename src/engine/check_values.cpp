#include "check_values.hpp"

#include <millrace/base/json.hpp>
#include <millrace/base/names.hpp>
#include <millrace/base/text_time.hpp>
#include <millrace/engine/limits.hpp>

#include <fmt/format.h>

namespace millrace::engine {
namespace {

std::unexpected<error> too_large(field_name field, std::size_t bytes, std::size_t bytes_max) {
  std::string name = field.text();
  std::string detail =
      fmt::format("{} has {} bytes: at most {} are allowed.", name, bytes, bytes_max);
  return fail(errc::too_large, "value_too_large", std::move(detail), std::move(name));
}

std::unexpected<error> wrong(field_name field, std::string_view what) {
  std::string name = field.text();
  std::string detail = fmt::format("{} {}", name, what);
  return invalid(std::move(name), std::move(detail));
}

}  // namespace

std::string field_name::text() const {
  std::string joined;
  joined.reserve(prefix.size() + name.size());
  return joined.append(prefix).append(name);
}

result<void> check_range(std::uint64_t value, std::uint64_t low, std::uint64_t high,
                         field_name field) {
  if (value >= low && value <= high) return {};
  return wrong(field, fmt::format("must be {} to {}; {} was given.", low, high, value));
}

result<void> check_range(duration value, duration low, duration high, field_name field) {
  if (value >= low && value <= high) return {};
  return wrong(field, fmt::format("must be {} to {}; {} was given.", format_duration(low),
                                  format_duration(high), format_duration(value)));
}

result<void> check_lease(duration value, field_name field) {
  if (value == duration{0}) return {};
  return check_range(value, lease_min, lease_max, field);
}

result<void> check_time(timestamp value, field_name field) {
  using namespace std::chrono_literals;
  constexpr timestamp end{std::chrono::sys_days{2201y / 1 / 1}};
  if (value >= timestamp{} && value < end) return {};
  return wrong(field, "must lie in the years 1970 to 2200.");
}

result<void> check_line(std::string_view text, std::size_t bytes_max, field_name field) {
  if (has_control_characters(text)) {
    return wrong(field, "must not contain control characters.");
  }
  return check_text(text, bytes_max, field);
}

result<void> check_text(std::string_view text, std::size_t bytes_max, field_name field) {
  if (text.size() > bytes_max) return too_large(field, text.size(), bytes_max);
  if (!is_utf8(text)) return wrong(field, "must be valid UTF-8.");
  return {};
}

result<void> check_item(std::string_view text, field_name field) {
  if (text.size() > item_bytes_max) return too_large(field, text.size(), item_bytes_max);
  result<void> json = check_json(text);
  if (json) return {};
  json.error().kind =
      json.error().kind == errc::malformed ? errc::invalid_argument : errc::too_large;
  json.error().field = field.text();
  return json;
}

result<void> check_backoff(const backoff_spec& spec, std::string_view prefix) {
  const std::string place = std::string{prefix} + "backoff.";
  if (auto ok = check_range(duration{spec.base}, duration{0}, backoff_max, {place, "base"}); !ok) {
    return ok;
  }
  return check_range(duration{spec.max}, duration{0}, backoff_max, {place, "max"});
}

result<void> check_queue_key(const queue_key& key) {
  if (auto ok = check_name(key.project, "project"); !ok) return ok;
  return check_name(key.name, "queue");
}

}  // namespace millrace::engine
