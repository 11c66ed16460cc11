#include <millrace/redis/server_facts.hpp>

#include <algorithm>
#include <charconv>
#include <memory>
#include <system_error>

namespace millrace::redis {
namespace {

template <class Number>
void read_number(std::string_view text, Number& into) {
  Number number{};
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (ec == std::errc{} && end == text.data() + text.size()) into = number;
}

void read_line(server_facts& facts, std::string_view name, std::string_view value) {
  if (name == "redis_version" && facts.version.empty()) facts.version = value;
  if (name == "valkey_version") facts.version = value;
  if (name == "server_name" || name == "valkey_version") {
    facts.server = name == "server_name" ? value : "valkey";
  }
  if (name == "redis_mode" || name == "server_mode") facts.mode = value;
  if (name == "role") facts.role = value;
  if (name == "run_id") facts.run_id = value;
  if (name == "maxmemory") read_number(value, facts.maxmemory);
  if (name == "used_memory") read_number(value, facts.used_memory);
  if (name == "maxmemory_policy") facts.maxmemory_policy = value;
  if (name == "aof_enabled") facts.aof_enabled = value == "1";
  if (name == "aof_last_write_status") facts.aof_write_ok = value == "ok";
  if (name == "loading") facts.loading = value == "1";
  if (name == "connected_slaves") read_number(value, facts.connected_replicas);
  if (name == "connected_clients") read_number(value, facts.connected_clients);
}

}  // namespace

server_facts parse_info(std::string_view text) {
  server_facts facts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    const std::size_t colon = line.find(':');
    if (line.starts_with('#') || colon == std::string_view::npos) continue;
    read_line(facts, line.substr(0, colon), line.substr(colon + 1));
  }
  if (facts.server.empty() && !facts.version.empty()) facts.server = "redis";
  return facts;
}

bool version_at_least(std::string_view version, int major, int minor) noexcept {
  int has_major = 0;
  int has_minor = 0;
  const char* const last = std::to_address(version.end());
  const auto first = std::from_chars(std::to_address(version.begin()), last, has_major);
  if (first.ec != std::errc{} || first.ptr == last || *first.ptr != '.') return false;
  if (std::from_chars(first.ptr + 1, last, has_minor).ec != std::errc{}) return false;
  return has_major > major || (has_major == major && has_minor >= minor);
}

}  // namespace millrace::redis
