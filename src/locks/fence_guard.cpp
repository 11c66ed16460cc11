#include <millrace/locks/fence_guard.hpp>

#include <fmt/format.h>

#include <algorithm>

namespace millrace {
namespace {

constexpr std::size_t name_bytes_max = 63;

bool is_name(std::string_view text) {
  const auto is_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !text.empty() && text.size() <= name_bytes_max && std::ranges::all_of(text, is_word) &&
         (text.front() < '0' || text.front() > '9');
}

}  // namespace

result<fence_guard> fence_guard::in_table(std::string_view table) {
  const std::size_t dot = table.find('.');
  const bool fine = dot == std::string_view::npos
                        ? is_name(table)
                        : is_name(table.substr(0, dot)) && is_name(table.substr(dot + 1));
  if (fine) return fence_guard(std::string(table));
  return invalid("table", fmt::format("table must be a name, or a schema and a name, of letters, "
                                      "digits and underscores; \"{}\" was given.",
                                      table));
}

std::string fence_guard::create() const {
  return fmt::format(
      "CREATE TABLE IF NOT EXISTS {} (resource TEXT PRIMARY KEY, fence BIGINT NOT NULL)", table_);
}

std::string fence_guard::pass() const {
  return fmt::format(
      "INSERT INTO {} AS seen (resource, fence) VALUES ($1, $2) ON CONFLICT (resource) DO UPDATE "
      "SET fence = excluded.fence WHERE seen.fence <= excluded.fence RETURNING fence",
      table_);
}

std::string fence_guard::assignment(std::string_view column, int parameter) {
  return fmt::format("{} = ${}", column, parameter);
}

std::string fence_guard::condition(std::string_view column, int parameter) {
  return fmt::format("{} <= ${}", column, parameter);
}

}  // namespace millrace
