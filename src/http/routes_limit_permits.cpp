#include "json_members.hpp"
#include "limits_codec.hpp"
#include "route_support.hpp"
#include "routes.hpp"

#include <millrace/base/json.hpp>
#include <millrace/engine/limits.hpp>
#include <millrace/http/job_codec.hpp>

#include <array>
#include <string>
#include <utility>

/// Permits of limits on what happens at once, and who is shut out.
namespace millrace::http {
namespace {

using block_rule = member_rule<block_body>;

constexpr block_rule scope_rule{
    "scope", [](const json::value& from, block_body& into, const field_path& field) {
      return store_in(into.scope, read_text(from, field));
    }};
constexpr block_rule id_rule{
    "id", [](const json::value& from, block_body& into, const field_path& field) {
      if (from.is_int64()) {
        into.id = std::to_string(from.get_int64());
        return result<void>();
      }
      return store_in(into.id, read_text(from, field));
    }};
constexpr block_rule for_rule{
    "for", [](const json::value& from, block_body& into, const field_path& field) {
      return store_in(into.length, read_seconds(from, engine::limit_window_max, field));
    }};
constexpr std::array block_rules{scope_rule, id_rule, for_rule};
constexpr std::array unblock_rules{scope_rule, id_rule};

result<limits_body> read_permit(const service& with, const request& what) {
  const auto checked = check_no_query(what);
  if (!checked) return std::unexpected(checked.error());
  auto body = decode_limits(what.body, limits_verb::permit, *with.limits.settings());
  if (!body) return body;
  if (body->permit == 0) {
    return invalid("permit", "permit is the number that was answered when it was taken.");
  }
  body->asked.project = with.project;
  return body;
}

response answer_about(const service& with, const result<limit_answer>& answer) {
  if (!answer) return problem(answer.error());
  return limits_response(*answer, engine::take_mode::all, with.limits.settings()->legacy_headers);
}

// borrows: awaited in place
awaitable<response> set_block(service& with, const request& what, bool lasts) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  const auto body = decode_block(what.body, lasts);
  if (!body) co_return problem(body.error());
  const auto done = co_await with.limits.block(with.project, body->scope, body->id, body->length);
  if (!done) {
    error why = done.error();
    if (why.field == "whose") why.field = "id";
    co_return problem(why);
  }
  co_return json_response(block_answer(*body, *done));
}

}  // namespace

result<block_body> decode_block(std::string_view body, bool lasts) {
  const auto parsed = parse_json(body.empty() ? "{}" : body);
  if (!parsed) return std::unexpected(parsed.error());
  block_body out;
  auto read = lasts ? read_members<block_body>(*parsed, block_rules, out, {})
                    : read_members<block_body>(*parsed, unblock_rules, out, {});
  if (!read) return std::unexpected(std::move(read.error()));
  if (out.scope.empty()) return invalid("scope", "scope says what the id is: user, ip, bot.");
  if (out.id.empty()) return invalid("id", "id says who it is.");
  if (lasts && out.length == duration{0}) {
    return invalid("for", "for says how long, in seconds; :unblock lets in again.");
  }
  return out;
}

std::string block_answer(const block_body& asked, const limit_block& done) {
  std::string out = done.until ? R"({"blocked":true,"scope":)" : R"({"blocked":false,"scope":)";
  append_json_string(out, asked.scope);
  out += R"(,"id":)";
  append_json_string(out, asked.id);
  out += R"(,"at":)";
  append_time(out, done.at);
  if (done.until) {
    out += R"(,"blocked_until":)";
    append_time(out, *done.until);
  }
  out += '}';
  return out;
}

awaitable<response> renew_permit(service& with, request& what) {
  auto body = read_permit(with, what);
  if (!body) co_return problem(body.error());
  const auto answer = co_await with.limits.renew(std::move(body->asked), body->permit);
  co_return answer_about(with, answer);
}

awaitable<response> release_permit(service& with, request& what) {
  auto body = read_permit(with, what);
  if (!body) co_return problem(body.error());
  const auto answer = co_await with.limits.release(std::move(body->asked), body->permit);
  co_return answer_about(with, answer);
}

awaitable<response> block_id(service& with, request& what) {
  co_return co_await set_block(with, what, true);
}

awaitable<response> unblock_id(service& with, request& what) {
  co_return co_await set_block(with, what, false);
}

}  // namespace millrace::http
