#pragma once

#include <millrace/base/clock.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

/// Numbers, times and texts as people read them.
namespace millrace::cli {

/// `now`, `3m ago`, `in 2h`: the largest unit alone; of the past cut, of what is to come rounded to
/// the nearest.
[[nodiscard]] std::string relative_time(timestamp at, timestamp now);

/// `0.4s`, `12s`, `3m 20s`, `2h 5m`, `7d`.
[[nodiscard]] std::string readable_span(duration span);

/// `12,345`.
[[nodiscard]] std::string grouped(std::uint64_t count);

/// What a terminal may be given of a foreign text: one line, control characters replaced, so that a
/// job's error can neither move the cursor nor break a table.
[[nodiscard]] std::string printable(std::string_view text);

/// Columns a text takes, for UTF-8 without combining or double-width characters.
[[nodiscard]] std::size_t columns_of(std::string_view text) noexcept;

/// At most that many columns, the last one `…` where something was cut. `columns` is at least 1.
[[nodiscard]] std::string cut_to(std::string_view text, std::size_t columns);

/// `#####.....` of `columns`; `share` is 0 to 1.
[[nodiscard]] std::string progress_bar(double share, std::size_t columns);

}  // namespace millrace::cli
