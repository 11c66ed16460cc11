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

constexpr std::int64_t fence_max = (std::int64_t{1} << 53U) - 1;

result<void> read_mode(const json::value& from, lock_request& into, const field_path& field) {
  const result<std::string> text = read_text(from, field);
  if (!text) return std::unexpected(text.error());
  const auto mode = engine::parse_lock_mode(*text);
  if (!mode) return invalid(field.text(), "mode must be \"exclusive\" or \"shared\".");
  into.mode = *mode;
  return {};
}

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
    rule{"mode", &read_mode},
    rule{"permits",
         [](const json::value& from, lock_request& into, const field_path& field) {
           return store_in(into.permits, read_integer(from, 1, engine::lock_holders_max, field));
         }},
    rule{"keep_place",
         [](const json::value& from, lock_request& into, const field_path& field) {
           return store_in(into.keep_place, read_seconds(from, engine::lock_queue_max, field));
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

result<lock_request> decode_lock(std::string_view body) {
  result<lock_request> out = decode(body, lock_rules);
  // Who names a number of permits says that it is shared.
  if (out && out->permits > 0 && !out->mode) out->mode = engine::lock_mode::shared;
  return out;
}

result<duration> decode_lock_ttl(std::string_view body) {
  result<lock_request> read = decode(body, extend_rules);
  if (!read) return std::unexpected(std::move(read.error()));
  return read->ttl;
}

result<std::uint64_t> decode_fence(std::string_view body) {
  struct fence_request {
    std::uint64_t fence{0};
  };
  using fence_rule = member_rule<fence_request>;
  constexpr std::array fence_rules{fence_rule{
      "fence", [](const json::value& from, fence_request& into, const field_path& field) {
        return store_in(into.fence, read_integer(from, 1, fence_max, field));
      }}};
  const result<json::value> parsed = parse_json(body.empty() ? std::string_view{"{}"} : body);
  if (!parsed) return std::unexpected(parsed.error());
  fence_request out;
  result<void> read = read_members<fence_request>(*parsed, fence_rules, out, {});
  if (!read) return std::unexpected(std::move(read.error()));
  if (out.fence == 0) return invalid("fence", "fence is missing: it came with the lock.");
  return out.fence;
}

void append_lock_members(std::string& out, const engine::lock_info& lock) {
  out += R"("resource":)";
  append_json_string(out, lock.key.resource);
  out += R"(,"owner":)";
  append_json_string(out, lock.owner);
  // Where it is somebody's turn nobody holds it.
  if (lock.fence > 0) {
    fmt::format_to(std::back_inserter(out), R"(,"fence":{},"acquired_at":)", lock.fence);
    append_time(out, lock.acquired_at);
  }
  out += R"(,"expires_at":)";
  append_time(out, lock.expires_at);
  fmt::format_to(std::back_inserter(out), R"(,"mode":"{}","holders":{},"waiters":{})",
                 engine::to_string(lock.mode), lock.holders, lock.waiters);
}

void append_holders(std::string& out, const std::vector<engine::lock_info>& holders) {
  out += R"(,"held_by":[)";
  for (const engine::lock_info& each : holders) {
    if (&each != &holders.front()) out += ',';
    out += R"({"owner":)";
    append_json_string(out, each.owner);
    fmt::format_to(std::back_inserter(out), R"(,"mode":"{}","fence":{},"acquired_at":)",
                   engine::to_string(each.mode), each.fence);
    append_time(out, each.acquired_at);
    out += R"(,"expires_at":)";
    append_time(out, each.expires_at);
    out += '}';
  }
  out += ']';
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
