#include "describe_sessions.hpp"

#include <fmt/format.h>

namespace millrace::conformance {

using namespace engine;

std::string describe(const std::optional<session_info>& session, timestamp start) {
  if (!session) return "no session";
  const session_info& is = *session;
  std::string out = fmt::format(
      "session {} of '{}' '{}'{} version {} idle {}us absolute {}us touch {}us begun {}us touched "
      "{}us until {}us",
      is.key.hash, is.user, is.label, is.former ? " formerly" : "", is.version,
      is.rules.idle.count(), is.rules.absolute.count(), is.rules.touch_every.count(),
      (is.times.created_at - start).count(), (is.times.touched_at - start).count(),
      (is.times.expires_at - start).count());
  for (const auto& [name, json] : is.fields) out += fmt::format(" {}={}", name, json);
  return out;
}

std::string describe(const session_page& page, timestamp start) {
  std::string out = fmt::format("{} sessions{}", page.count, page.cursor.empty() ? "" : ", more");
  for (const session_info& each : page.items) out += "\n  " + describe(std::optional(each), start);
  return out;
}

std::string describe(const session_changed& done, timestamp start) {
  return fmt::format("{}, ended {}", describe(std::optional(done.session), start), done.ended);
}

std::string describe(const sessions_ended& done, timestamp) {
  return fmt::format("ended {}", done.count);
}

}  // namespace millrace::conformance
