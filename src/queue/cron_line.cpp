#include <millrace/queue/cron_line.hpp>

#include <bit>

namespace millrace {
namespace {

using std::chrono::days;
using std::chrono::local_days;
using std::chrono::local_seconds;
using std::chrono::months;
using std::chrono::year;
using std::chrono::year_month;
using std::chrono::year_month_day;

// Every line that fires at all fires within 41 years: the longest pause is that of a fifth weekday
// in February around 2100, which is no leap year.
constexpr int months_scanned_max = 41 * 12;
constexpr year year_end{2200};

unsigned last_day(year_month month) noexcept {
  return static_cast<unsigned>((month / std::chrono::last).day());
}

unsigned weekday_of_first(year_month month) noexcept {
  return std::chrono::weekday{local_days{month / 1}}.c_encoding();
}

// The weekday nearest to a day without leaving its month.
unsigned nearest_weekday(unsigned day, unsigned weekday, unsigned last) noexcept {
  if (weekday == 6) return day > 1 ? day - 1 : day + 2;
  if (weekday == 0) return day < last ? day + 1 : day - 2;
  return day;
}

// The lowest set bit at or above `from`, 64 for none.
unsigned bit_from(std::uint64_t mask, unsigned from) noexcept {
  if (from >= 64) return 64;
  return static_cast<unsigned>(std::countr_zero(mask & (~std::uint64_t{0} << from)));
}

}  // namespace

bool cron_line::every_hour() const noexcept { return hours_ == (1U << 24U) - 1; }

std::uint32_t cron_line::days_of(year_month month) const noexcept {
  const unsigned last = last_day(month);
  const unsigned first_weekday = weekday_of_first(month);
  const auto weekday_of = [first_weekday](unsigned day) { return (first_weekday + day - 1) % 7; };

  std::uint32_t by_day = day_.days;
  std::uint32_t by_weekday = 0;
  for (unsigned day = 1; day <= last; ++day) {
    const unsigned weekday = weekday_of(day);
    if (day_.before_last >> (last - day) & 1U) by_day |= 1U << day;
    if (day_.near_days >> day & 1U) by_day |= 1U << nearest_weekday(day, weekday, last);
    unsigned kinds = day_.weekdays | day_.nth[(day - 1) / 7];
    if (day + 7 > last) kinds |= day_.last_of_kind;
    by_weekday |= (kinds >> weekday & 1U) << day;
  }
  if (day_.near_days & 1U) by_day |= 1U << nearest_weekday(last, weekday_of(last), last);

  const bool either = day_.by_day && day_.by_weekday;
  const std::uint32_t meant = either ? by_day | by_weekday : by_day & by_weekday;
  const std::uint32_t in_month = static_cast<std::uint32_t>((std::uint64_t{2} << last) - 2);
  return meant & in_month;
}

std::optional<std::uint32_t> cron_line::time_from(std::uint32_t second_of_day) const noexcept {
  const unsigned hour = second_of_day / 3600;
  const unsigned minute = second_of_day / 60 % 60;
  const auto at = [](unsigned h, unsigned m, unsigned s) { return h * 3600 + m * 60 + s; };
  const unsigned first_minute = bit_from(minutes_, 0);
  const unsigned first_second = bit_from(seconds_, 0);

  if (hours_ >> hour & 1U) {
    if (minutes_ >> minute & 1U) {
      const unsigned second = bit_from(seconds_, second_of_day % 60);
      if (second < 60) return at(hour, minute, second);
    }
    const unsigned later_minute = bit_from(minutes_, minute + 1);
    if (later_minute < 60) return at(hour, later_minute, first_second);
  }
  const unsigned later_hour = bit_from(hours_, hour + 1);
  if (later_hour < 24) return at(later_hour, first_minute, first_second);
  return std::nullopt;
}

std::optional<local_seconds> cron_line::first_from(local_seconds from) const noexcept {
  const local_days first_day = std::chrono::floor<days>(from);
  const year_month_day start{first_day};
  const auto start_second = static_cast<std::uint32_t>((from - first_day).count());

  year_month month{start.year(), start.month()};
  std::uint32_t wanted = ~std::uint32_t{0} << static_cast<unsigned>(start.day());
  for (int scanned = 0; scanned <= months_scanned_max && month.year() < year_end; ++scanned) {
    if (months_ >> static_cast<unsigned>(month.month()) & 1U) {
      for (std::uint32_t left = days_of(month) & wanted; left != 0; left &= left - 1) {
        const local_days day{month / static_cast<int>(std::countr_zero(left))};
        const auto time = time_from(day == first_day ? start_second : 0);
        if (time) return day + std::chrono::seconds{*time};
      }
    }
    wanted = ~std::uint32_t{0};
    month += months{1};
  }
  return std::nullopt;
}

}  // namespace millrace
