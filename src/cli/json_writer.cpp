#include "json_writer.hpp"

#include <millrace/base/json.hpp>
#include <millrace/base/text_time.hpp>

#include <fmt/format.h>

#include <utility>

namespace millrace::cli {

void json_writer::text(std::string_view name, const std::optional<std::string>& value) {
  if (!value) return;
  begin(name);
  append_json_string(out_, *value);
}

void json_writer::integer(std::string_view name, const std::optional<std::int64_t>& value) {
  if (value) raw(name, fmt::format("{}", *value));
}

void json_writer::seconds(std::string_view name, const std::optional<duration>& value) {
  if (value) raw(name, fmt::format("{}", to_seconds(*value)));
}

void json_writer::flag(std::string_view name, bool value) { raw(name, value ? "true" : "false"); }

void json_writer::raw(std::string_view name, std::string_view json_text) {
  begin(name);
  out_ += json_text;
}

std::string json_writer::finish() && { return std::move(out_) + "}"; }

void json_writer::begin(std::string_view name) {
  if (!empty()) out_ += ',';
  append_json_string(out_, name);
  out_ += ':';
}

}  // namespace millrace::cli
