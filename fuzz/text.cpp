// Names, ids, times, durations and error texts: what is accepted comes back as it was, and what is
// refused is refused with a message that can be shown.

#include <millrace/base/assert.hpp>
#include <millrace/base/names.hpp>
#include <millrace/base/routed_id.hpp>
#include <millrace/base/text_time.hpp>
#include <millrace/engine/event_steps.hpp>
#include <millrace/engine/fingerprint.hpp>
#include <millrace/engine/live_rules.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace {

using namespace millrace;

void showable(const error& why) {
  MILLRACE_ASSERT(why.field == "field");
  MILLRACE_ASSERT(!why.detail.empty() && is_utf8(why.detail));
  MILLRACE_ASSERT(!has_control_characters(why.detail));
}

void names(std::string_view text) {
  const auto name = check_name(text, "field");
  if (name) {
    const routed_id id{std::string{routing_tag(text)}, 1 + text.size()};
    MILLRACE_ASSERT(routed_id::parse(id.text()) == id);
    MILLRACE_ASSERT(check_key(text, "field"));
  } else {
    showable(name.error());
  }
  const auto key = check_key(text, "field");
  if (key) {
    MILLRACE_ASSERT(is_utf8(text) && !has_control_characters(text));
  } else {
    showable(key.error());
  }
  const auto id = routed_id::parse(text);
  if (id) MILLRACE_ASSERT(id->text() == text);
  const auto place = engine::event_cursor::parse(text);
  if (place) MILLRACE_ASSERT(place->text() == text);
}

void times(std::string_view text) {
  const auto at = parse_rfc3339(text, "field");
  if (at) {
    const auto again = parse_rfc3339(to_rfc3339(*at), "field");
    MILLRACE_ASSERT(again && *again == std::chrono::floor<std::chrono::milliseconds>(*at));
  } else {
    showable(at.error());
  }
  const auto span = parse_duration(text, "field");
  if (span) {
    MILLRACE_ASSERT(*span >= duration{0});
    MILLRACE_ASSERT(parse_duration(format_duration(*span), "field") == *span);
  } else {
    showable(span.error());
  }
}

void cuts(std::string_view text) {
  const bool whole = is_utf8(text);
  const std::size_t bytes = text.empty() ? 0 : static_cast<unsigned char>(text[0]);
  const std::string_view cut = cut_utf8(text, bytes);
  MILLRACE_ASSERT(text.starts_with(cut) && cut.size() <= bytes);
  if (whole) {
    MILLRACE_ASSERT(is_utf8(cut) && cut.size() + 3 >= std::min(bytes, text.size()));
  }
  const std::string shown = excerpt(text);
  MILLRACE_ASSERT(is_utf8(shown) && !has_control_characters(shown));
  const std::string fingerprint = engine::error_fingerprint(text);
  MILLRACE_ASSERT(fingerprint.size() <= engine::fingerprint_bytes_max);
  if (whole) MILLRACE_ASSERT(is_utf8(fingerprint));
}

// What is kept as fields comes back; whatever else stands there ends the reading.
void fields(std::string_view text) {
  engine::text_field_reader kept(text);
  while (!kept.failed() && !kept.at_end()) static_cast<void>(kept.text());
  const std::string written = engine::text_fields().add(text).add(std::int64_t{-1}).take();
  engine::text_field_reader again(written);
  MILLRACE_ASSERT(again.text() == text && again.number() == -1 && again.at_end());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  names(text);
  fields(text);
  times(text);
  cuts(text);
  return 0;
}
