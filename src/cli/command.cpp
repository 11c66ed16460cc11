#include "command.hpp"

#include <millrace/base/assert.hpp>
#include <millrace/base/text_time.hpp>

#include <fmt/format.h>

#include <charconv>
#include <system_error>
#include <utility>

namespace millrace::cli {

std::optional<std::string> invocation::text(std::string_view name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) return std::nullopt;
  return found->second.back();
}

std::string invocation::text_or(std::string_view name, std::string_view otherwise) const {
  return text(name).value_or(std::string{otherwise});
}

std::vector<std::string> invocation::texts(std::string_view name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) return {};
  return found->second;
}

const std::string& invocation::required(std::string_view name) const {
  const auto found = values_.find(name);
  MILLRACE_ASSERT(found != values_.end());
  return found->second.back();
}

result<std::optional<std::int64_t>> invocation::integer(std::string_view name, std::int64_t min,
                                                        std::int64_t max) const {
  const auto given = text(name);
  if (!given) return std::optional<std::int64_t>{};
  std::int64_t number = 0;
  const auto [end, ec] = std::from_chars(given->data(), given->data() + given->size(), number);
  if (ec != std::errc{} || end != given->data() + given->size() || number < min || number > max) {
    return invalid(std::string{name},
                   fmt::format("'{}' is not a whole number from {} to {}", *given, min, max));
  }
  return std::optional{number};
}

result<std::optional<duration>> invocation::span(std::string_view name) const {
  const auto given = text(name);
  if (!given) return std::optional<duration>{};
  auto parsed = parse_duration(*given, name);
  if (!parsed) return std::unexpected(std::move(parsed.error()));
  return std::optional{*parsed};
}

void invocation::add(std::string_view name, std::string value) {
  values_[std::string{name}].push_back(std::move(value));
}

std::vector<option> with_server_options(std::vector<option> own) {
  own.push_back(
      {.name = "--url",
       .value = "URL",
       .purpose =
           "the server: http://HOST:PORT, https://HOST or unix:PATH (default: MILLRACE_URL, else "
           "the socket in ./.millrace, else http://127.0.0.1:7070)"});
  own.push_back({.name = "--ca-file",
                 .value = "FILE",
                 .purpose = "with https: the certificate authorities to trust, in PEM (default: "
                            "MILLRACE_CA_FILE, else the system's)",
                 .kind = value_kind::file});
  return own;
}

std::vector<option> with_reading_options(std::vector<option> own) {
  own.push_back({.name = "--json", .purpose = "print the server's JSON instead of a table"});
  return with_server_options(std::move(own));
}

}  // namespace millrace::cli
