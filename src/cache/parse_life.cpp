#include <millrace/cache/parse_life.hpp>

#include <millrace/base/names.hpp>
#include <millrace/base/text_time.hpp>
#include <millrace/engine/cache_steps.hpp>

#include <fmt/format.h>

#include <string>

namespace millrace::cache {

result<duration> parse_life(std::string_view text, std::string_view field) {
  auto span = parse_duration(text, field);
  // What is said about durations in general names another bound than this one.
  if (!span) {
    return invalid(std::string{field},
                   fmt::format("{} must be a duration such as 500ms, 30s or 5m, at most a year; "
                               "\"{}\" is not.",
                               field, excerpt(text)),
                   "invalid_duration");
  }
  if (*span <= engine::cache_ttl_max) return span;
  return invalid(std::string{field}, fmt::format("{} must be at most a year.", field));
}

}  // namespace millrace::cache
