#include "json_view.hpp"

#include <millrace/base/text_time.hpp>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <algorithm>

namespace millrace::cli {

const json::value* member(const json::value& of, std::string_view path) {
  const json::value* at = &of;
  while (!path.empty()) {
    const std::size_t dot = std::min(path.find('.'), path.size());
    const json::object* members = at->if_object();
    at = members == nullptr ? nullptr : members->if_contains(path.substr(0, dot));
    if (at == nullptr) return nullptr;
    path.remove_prefix(std::min(dot + 1, path.size()));
  }
  return at->is_null() ? nullptr : at;
}

std::string text_at(const json::value& of, std::string_view path) {
  const json::value* found = member(of, path);
  if (found == nullptr || !found->is_string()) return {};
  return {found->get_string().data(), found->get_string().size()};
}

std::optional<double> number_at(const json::value& of, std::string_view path) {
  const json::value* found = member(of, path);
  if (found == nullptr || !found->is_number()) return std::nullopt;
  return found->to_number<double>();
}

std::uint64_t count_at(const json::value& of, std::string_view path) {
  const double number = number_at(of, path).value_or(0);
  return number <= 0 ? 0 : static_cast<std::uint64_t>(number);
}

bool flag_at(const json::value& of, std::string_view path) {
  const json::value* found = member(of, path);
  return found != nullptr && found->is_bool() && found->get_bool();
}

std::optional<timestamp> time_at(const json::value& of, std::string_view path) {
  const auto parsed = parse_rfc3339(text_at(of, path), path);
  if (!parsed) return std::nullopt;
  return *parsed;
}

const json::array& items_at(const json::value& of, std::string_view path) {
  static const json::array none;
  const json::value* found = member(of, path);
  return found != nullptr && found->is_array() ? found->get_array() : none;
}

std::string json_text(const json::value& value) { return json::serialize(value); }

}  // namespace millrace::cli
