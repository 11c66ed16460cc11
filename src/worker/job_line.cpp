#include "job_line.hpp"

#include <millrace/base/json.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

namespace millrace::worker_detail {
namespace {

void append_member(std::string& line, std::string_view name, std::string_view text) {
  line.append(",\"").append(name).append("\":");
  append_json_string(line, text);
}

}  // namespace

std::string on_one_line(std::string json) {
  // A line end cannot stand inside a JSON string, so each of these is white space between tokens.
  std::ranges::replace_if(json, [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return json;
}

std::string job_line(const engine::leased_job& leased) {
  const engine::job& job = leased.what;
  std::string line = "{\"id\":";
  append_json_string(line, job.id.text());
  append_member(line, "queue", job.queue.name);
  append_member(line, "type", job.spec.type);
  line.append(",\"data\":").append(on_one_line(job.spec.data));
  fmt::format_to(std::back_inserter(line), ",\"attempt\":{},\"max_attempts\":{},\"token\":{}",
                 job.attempts, job.spec.max_attempts, leased.token);
  line += ",\"labels\":{";
  for (const engine::label& label : job.spec.labels) {
    if (line.back() != '{') line += ',';
    append_json_string(line, label.first);
    line += ':';
    append_json_string(line, label.second);
  }
  line += "},\"checkpoint\":";
  line += job.checkpoint.empty() ? "null" : on_one_line(job.checkpoint);
  append_member(line, "correlation_id", job.spec.correlation_id);
  line += '}';
  return line;
}

}  // namespace millrace::worker_detail
