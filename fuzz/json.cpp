// The JSON reader: the walk over raw text must see what the parser sees.

#include <millrace/base/json.hpp>

#include <millrace/base/assert.hpp>
#include <millrace/base/names.hpp>

#include <boost/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace {

using namespace millrace;

bool same(const json::value& left, const json::value& right);

bool same_items(const json::array& left, const json::array& right) {
  return std::ranges::equal(left, right, same);
}

bool same_items(const json::object& left, const json::object& right) {
  return left.size() == right.size() && std::ranges::all_of(left, [&right](const auto& member) {
           const json::value* const other = right.if_contains(member.key());
           return other != nullptr && same(member.value(), *other);
         });
}

// The last digits of a number that the parser reads depend on how much text follows it.
bool same(const json::value& left, const json::value& right) {
  if (left.is_double() && right.is_double()) {
    const double a = left.get_double(), b = right.get_double();
    return a == b || std::abs(a - b) <= 4 * std::numeric_limits<double>::epsilon() * std::abs(a);
  }
  if (left.is_array() && right.is_array()) return same_items(left.get_array(), right.get_array());
  if (left.is_object() && right.is_object()) {
    return same_items(left.get_object(), right.get_object());
  }
  return left == right;
}

void same_members(std::string_view text, const json::object& object) {
  for (const auto& [name, value] : object) {
    const auto raw = raw_member(text, {name.data(), name.size()});
    MILLRACE_ASSERT(raw);
    const auto parsed = parse_json(*raw);
    MILLRACE_ASSERT(parsed && same(*parsed, value));
  }
  const auto absent = raw_member(text, "no such member");
  MILLRACE_ASSERT(absent.has_value() == object.contains("no such member"));
}

void same_elements(std::string_view text, const json::array& array) {
  std::size_t count = 0;
  for_each_raw_element(text, [&](std::string_view raw) {
    MILLRACE_ASSERT(count < array.size());
    const auto parsed = parse_json(raw);
    MILLRACE_ASSERT(parsed && same(*parsed, array[count]));
    ++count;
  });
  MILLRACE_ASSERT(count == array.size());
}

// Any bytes as a string: the parser takes them exactly when they are UTF-8, and reads them back.
void same_string(std::string_view text) {
  std::string quoted;
  append_json_string(quoted, text);
  const auto parsed = parse_json(quoted);
  MILLRACE_ASSERT(parsed.has_value() == is_utf8(text));
  if (parsed) MILLRACE_ASSERT(std::string_view{parsed->get_string()} == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  same_string(text);
  const auto parsed = parse_json(text);
  const auto checked = check_json(text);
  MILLRACE_ASSERT(parsed.has_value() == checked.has_value());
  if (!parsed) {
    MILLRACE_ASSERT(parsed.error().detail == checked.error().detail);
    return 0;
  }
  if (parsed->is_object()) same_members(text, parsed->get_object());
  if (parsed->is_array()) same_elements(text, parsed->get_array());
  return 0;
}
