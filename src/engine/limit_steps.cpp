#include <millrace/engine/limit_steps.hpp>

#include <millrace/base/assert.hpp>

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <numeric>
#include <utility>

namespace millrace::engine {
namespace {

using std::pair;

constexpr std::array algorithm_words{
    pair{limit_algorithm::sliding, std::string_view{"sliding"}},
    pair{limit_algorithm::fixed, std::string_view{"fixed"}},
    pair{limit_algorithm::token_bucket, std::string_view{"token_bucket"}},
    pair{limit_algorithm::calendar, std::string_view{"calendar"}},
    pair{limit_algorithm::concurrency, std::string_view{"concurrency"}}};
constexpr std::array period_words{pair{limit_period::none, std::string_view{"none"}},
                                  pair{limit_period::daily, std::string_view{"daily"}},
                                  pair{limit_period::weekly, std::string_view{"weekly"}},
                                  pair{limit_period::monthly, std::string_view{"monthly"}}};

/// Whole numbers are exact up to here, also for engines that count in doubles.
constexpr std::int64_t exact_max = std::int64_t{1} << 53U;

template <class Words, class Value>
std::string_view word_of(const Words& words, Value what) noexcept {
  for (const auto& [value, word] : words) {
    if (value == what) return word;
  }
  return {};
}

// `60`, `0.001`, `1.5`: seconds without needless digits.
std::string seconds_text(duration window) {
  constexpr std::int64_t micros = 1'000'000;
  std::string text = fmt::format("{}", window.count() / micros);
  const std::int64_t fraction = window.count() % micros;
  if (fraction == 0) return text;
  text += fmt::format(".{:06}", fraction);
  text.resize(text.find_last_not_of('0') + 1);
  return text;
}

}  // namespace

timestamp sliding_part_end(duration window, timestamp now) noexcept {
  const std::int64_t part = (window.count() + sliding_parts - 1) / sliding_parts;
  return from_micros((to_micros(now) / part + 1) * part) + window;
}

timestamp sliding_end(duration window, std::uint64_t limit, timestamp now) noexcept {
  return limit <= exact_sliding_max ? now + window : sliding_part_end(window, now);
}

timestamp strikes_end(const limit_check& what, timestamp now) noexcept {
  return what.algorithm == limit_algorithm::calendar ? what.period_end : now + what.window;
}

std::string block_cursor(const blocked_id& last) { return "@" + last.scope + ":" + last.id; }

result<std::optional<blocked_id>> parse_block_cursor(std::string_view cursor) {
  if (cursor.empty()) return std::nullopt;
  const std::size_t colon = cursor.find(':');
  if (cursor.front() != '@' || colon == std::string_view::npos) {
    return fail(errc::malformed, "bad_cursor", "The cursor is not one of this listing.", "cursor");
  }
  return blocked_id{.scope = std::string(cursor.substr(1, colon - 1)),
                    .id = std::string(cursor.substr(colon + 1))};
}

std::uint64_t size_of(const limit_check& what) noexcept {
  const bool bucket = what.algorithm == limit_algorithm::token_bucket;
  return bucket && what.burst > 0 ? what.burst : what.limit;
}

std::optional<bucket_rate> bucket_rate_of(const limit_check& what) noexcept {
  const auto limit = static_cast<std::int64_t>(what.limit);
  const std::int64_t shared = std::gcd(limit, what.window.count());
  MILLRACE_ASSERT(shared > 0);
  bucket_rate rate{.unit = what.window.count() / shared, .drain = limit / shared};
  const auto size = static_cast<std::int64_t>(size_of(what));
  if (rate.drain > exact_max / 4 || size > (exact_max - 2 * rate.drain) / rate.unit) {
    return std::nullopt;
  }
  rate.capacity = size * rate.unit;
  return rate;
}

std::string_view to_string(limit_algorithm what) noexcept { return word_of(algorithm_words, what); }
std::string_view to_string(limit_period what) noexcept { return word_of(period_words, what); }

std::optional<limit_algorithm> parse_limit_algorithm(std::string_view word) noexcept {
  for (const auto& [value, its_word] : algorithm_words) {
    if (its_word == word) return value;
  }
  return std::nullopt;
}

std::optional<limit_period> parse_limit_period(std::string_view word) noexcept {
  for (const auto& [value, its_word] : period_words) {
    if (its_word == word) return value;
  }
  return std::nullopt;
}

std::string limit_name(const limit_check& what) {
  std::string name;
  name.reserve(what.scope.size() + what.id.size() + 24);
  name.append(what.scope).append(1, ':').append(what.id).append(1, ':');
  if (what.algorithm == limit_algorithm::calendar) return name.append(to_string(what.period));
  if (what.algorithm == limit_algorithm::concurrency) return name.append("permits");
  name.append(seconds_text(what.window));
  if (what.algorithm == limit_algorithm::fixed) name.append(":fixed");
  if (what.algorithm == limit_algorithm::token_bucket) name.append(":bucket");
  return name;
}

}  // namespace millrace::engine
