// Cron lines: whatever is accepted has slots that are whole seconds, grow, and do not depend on
// where in between one asks from. The input is a line, and behind a line feed a time zone.

#include <millrace/base/assert.hpp>
#include <millrace/base/names.hpp>
#include <millrace/queue/cron_schedule.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace {

using namespace millrace;
using std::chrono::seconds;

void check_slots(const cron_schedule& schedule, timestamp from) {
  timestamp at = from;
  for (int i = 0; i < 4; ++i) {
    const std::optional<timestamp> slot = schedule.next_after(at);
    if (!slot) {
      MILLRACE_ASSERT(!schedule.next_after(at + std::chrono::hours{24 * 400}));
      return;
    }
    MILLRACE_ASSERT(*slot > at);
    MILLRACE_ASSERT(*slot == std::chrono::floor<seconds>(*slot));
    MILLRACE_ASSERT(schedule.next_after(at + (*slot - at) / 2) == slot);
    MILLRACE_ASSERT(schedule.next_after(*slot - duration{1}) == slot);
    at = *slot;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t end = text.find('\n');
  const bool has_zone = end != std::string_view::npos;
  const auto schedule =
      cron_schedule::parse(text.substr(0, end), has_zone ? text.substr(end + 1) : "UTC");
  if (!schedule) {
    MILLRACE_ASSERT(!schedule.error().field.empty() && !schedule.error().detail.empty());
    return 0;
  }
  using namespace std::chrono_literals;
  // Before both changes of a year's clocks, and far ahead.
  for (const std::chrono::sys_days day :
       {std::chrono::sys_days{2026y / 3 / 7}, std::chrono::sys_days{2026y / 10 / 24},
        std::chrono::sys_days{2199y / 12 / 1}}) {
    check_slots(*schedule, timestamp{day});
  }
  return 0;
}
