#include <millrace/http/target.hpp>

#include <millrace/base/names.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace millrace::http {
namespace {

constexpr std::size_t parameters_max = 128;

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

result<std::string> decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      const int high = i + 1 < text.size() ? hex_value(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
      if (high < 0 || low < 0) {
        return fail(errc::malformed, "malformed_target",
                    "A percent sign in the request target needs two hexadecimal digits behind it.");
      }
      out += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return out;
}

}  // namespace

result<std::string> percent_decode(std::string_view text) { return decode(text, false); }

result<query_reader> query_reader::parse(std::string_view query) {
  query_reader reader;
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view part = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (part.empty()) continue;
    const std::size_t equals = std::min(part.find('='), part.size());
    result<std::string> name = decode(part.substr(0, equals), true);
    if (!name) return std::unexpected(std::move(name.error()));
    result<std::string> value = decode(part.substr(std::min(equals + 1, part.size())), true);
    if (!value) return std::unexpected(std::move(value.error()));
    if (reader.parameters_.size() == parameters_max) {
      return invalid("", fmt::format("More than {} query parameters.", parameters_max));
    }
    reader.parameters_.push_back({std::move(*name), std::move(*value)});
  }
  return reader;
}

bool query_reader::has(std::string_view name) const noexcept {
  return std::ranges::find(parameters_, name, &parameter::name) != parameters_.end();
}

std::optional<std::string> query_reader::text(std::string_view name) {
  std::optional<std::string> value;
  for (parameter& one : parameters_) {
    if (one.name != name) continue;
    one.taken = true;
    value = one.value;
  }
  return value;
}

std::vector<std::string> query_reader::texts(std::string_view name) {
  std::vector<std::string> values;
  for (parameter& one : parameters_) {
    if (one.name != name) continue;
    one.taken = true;
    values.push_back(one.value);
  }
  return values;
}

bool query_reader::flag(std::string_view name) {
  const std::optional<std::string> value = text(name);
  if (!value || *value == "false" || *value == "0") return false;
  if (value->empty() || *value == "true" || *value == "1") return true;
  if (!wrong_) {
    wrong_ = invalid(std::string{name}, fmt::format("{} must be true or false.", name)).error();
  }
  return false;
}

std::uint64_t query_reader::count(std::string_view name, std::uint64_t min, std::uint64_t max,
                                  std::uint64_t otherwise) {
  const std::optional<std::string> value = text(name);
  if (!value) return otherwise;
  std::uint64_t number = 0;
  const char* const end = value->data() + value->size();
  const auto [stopped, code] = std::from_chars(value->data(), end, number);
  if (code == std::errc{} && stopped == end && number >= min && number <= max) return number;
  if (!wrong_) {
    wrong_ = invalid(std::string{name},
                     fmt::format("{} must be a whole number from {} to {}.", name, min, max))
                 .error();
  }
  return otherwise;
}

std::vector<std::pair<std::string, std::string>> query_reader::prefixed(std::string_view prefix) {
  std::vector<std::pair<std::string, std::string>> found;
  for (parameter& one : parameters_) {
    if (one.name.size() <= prefix.size() + 1 || !one.name.starts_with(prefix) ||
        one.name[prefix.size()] != '.') {
      continue;
    }
    one.taken = true;
    found.emplace_back(one.name.substr(prefix.size() + 1), one.value);
  }
  std::ranges::sort(found);
  return found;
}

result<void> query_reader::finish() {
  if (wrong_) return std::unexpected(std::move(*wrong_));
  for (const parameter& one : parameters_) {
    if (one.taken) continue;
    const std::string name = excerpt(one.name);
    return invalid(name, fmt::format("There is no query parameter \"{}\" here.", name),
                   "unknown_parameter");
  }
  return {};
}

}  // namespace millrace::http
