#include "lock_codec.hpp"

#include "json_members.hpp"

#include <millrace/base/json.hpp>
#include <millrace/engine/limits.hpp>
#include <millrace/http/job_codec.hpp>
#include <millrace/locks/locks.hpp>

#include <boost/json/object.hpp>
#include <fmt/format.h>

#include <array>
#include <iterator>

namespace millrace::http {
namespace {

using rule = member_rule<lock_request>;
constexpr rule ttl_rule{
    "ttl", [](const json::value& from, lock_request& into, const field_path& field) {
      return store_in(into.ttl, read_seconds(from, engine::lock_ttl_max, field));
    }};
constexpr std::array lock_rules{
    ttl_rule,
    rule{"wait",
         [](const json::value& from, lock_request& into, const field_path& field) {
           return store_in(into.wait, read_seconds(from, lock_wait_max, field));
         }},
    rule{"owner",
         [](const json::value& from, lock_request& into, const field_path& field) {
           return store_in(into.owner, read_text(from, field));
         }},
};
constexpr std::array extend_rules{ttl_rule};

result<lock_request> decode(std::string_view body, std::span<const rule> rules) {
  const result<json::value> parsed = parse_json(body.empty() ? std::string_view{"{}"} : body);
  if (!parsed) return std::unexpected(parsed.error());
  lock_request out;
  result<void> read = read_members<lock_request>(*parsed, rules, out, {});
  if (!read) return std::unexpected(std::move(read.error()));
  if (out.ttl < engine::lock_ttl_min) {
    return invalid("ttl", fmt::format("ttl must be {} to {} seconds.",
                                      static_cast<double>(engine::lock_ttl_min.count()) / 1000,
                                      std::chrono::seconds(engine::lock_ttl_max).count()));
  }
  return out;
}

}  // namespace

result<lock_request> decode_lock(std::string_view body) { return decode(body, lock_rules); }

result<duration> decode_lock_ttl(std::string_view body) {
  result<lock_request> read = decode(body, extend_rules);
  if (!read) return std::unexpected(std::move(read.error()));
  return read->ttl;
}

void append_lock_members(std::string& out, const engine::lock_info& lock) {
  out += R"("resource":)";
  append_json_string(out, lock.key.resource);
  out += R"(,"owner":)";
  append_json_string(out, lock.owner);
  fmt::format_to(std::back_inserter(out), R"(,"fence":{},"acquired_at":)", lock.fence);
  append_time(out, lock.acquired_at);
  out += R"(,"expires_at":)";
  append_time(out, lock.expires_at);
}

void append_lock(std::string& out, const engine::lock_info& lock, std::string_view token) {
  out += '{';
  append_lock_members(out, lock);
  out += R"(,"held":true)";
  if (!token.empty()) {
    out += R"(,"token":)";
    append_json_string(out, token);
  }
  out += '}';
}

}  // namespace millrace::http
