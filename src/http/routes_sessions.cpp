#include "idempotency.hpp"
#include "route_support.hpp"
#include "routes.hpp"
#include "session_codec.hpp"

#include <millrace/base/names.hpp>
#include <millrace/engine/async.hpp>

#include <fmt/format.h>

#include <string>
#include <utility>

/// Sessions. Who asks for one has to know its id; an id that does not let in says no more than
/// that.
namespace millrace::http {
namespace {

response show(const engine::session_info& session, std::string_view id = {},
              unsigned status = 200) {
  std::string body;
  append_session(body, session, id);
  response out = json_response(std::move(body), status);
  out.headers = fmt::format("ETag: \"{}\"\r\n", session.version);
  return out;
}

response show(const sessions::named_session& made, unsigned status) {
  response out = show(made.session, made.id, status);
  out.body.pop_back();
  out.body += fmt::format(R"(,"ended":{}}})", made.ended);
  return out;
}

// The version of `If-Match`; 0 for any.
result<std::uint64_t> read_if_match(const request& what) {
  if (!what.has(header::if_match) || what[header::if_match] == "*") return 0;
  const auto version = version_of_tag(what[header::if_match]);
  if (version && *version > 0) return *version;
  return invalid("If-Match", "If-Match must be * or the ETag of the session, such as \"3\".");
}

awaitable<response> change_in(service& with, request& what, bool replace) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  const auto version = read_if_match(what);
  if (!version) co_return problem(version.error());
  auto step = decode_change_session(what.body, with.project, replace);
  if (!step) co_return problem(step.error());
  step->if_version = *version;
  const auto done = co_await with.sessions.change(what.params[0], std::move(*step));
  if (!done) co_return problem(done.error());
  co_return show(*done);
}

awaitable<response> list_of(service& with, query_reader& query, std::optional<std::string> user) {
  const list_request list = read_list_request(query);
  const auto newest_first = read_newest_first(query, false);
  const auto checked = query.finish();
  if (!checked) co_return problem(checked.error());
  if (!newest_first) co_return problem(newest_first.error());
  const auto page =
      co_await engine::ask(with.store, engine::list_sessions{.project = with.project,
                                                             .user = std::move(user),
                                                             .newest_first = *newest_first,
                                                             .limit = list.limit,
                                                             .cursor = list.cursor});
  if (!page) co_return problem(page.error());
  std::string body;
  append_session_page(body, *page);
  co_return json_response(std::move(body));
}

}  // namespace

awaitable<response> begin_session(service& with, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  auto repeated = read_idempotency_key(what, with.project, "POST /v1/sessions");
  if (!repeated) co_return problem(repeated.error());
  auto step = decode_create_session(what.body, with.project, with.options.sessions);
  if (!step) co_return problem(step.error());
  const auto made = co_await with.sessions.begin(std::move(*step), std::move(*repeated));
  if (!made) co_return problem(made.error());
  co_return show(*made, 201);
}

awaitable<response> show_session(service& with, request& what) {
  auto query = query_reader::parse(what.query);
  if (!query) co_return problem(query.error());
  const bool peek = query->flag("peek");
  const auto checked = query->finish();
  if (!checked) co_return problem(checked.error());
  const auto found = peek ? co_await with.sessions.peek(with.project, what.params[0])
                          : co_await with.sessions.look(with.project, what.params[0]);
  if (!found) co_return problem(found.error());
  co_return show(*found);
}

awaitable<response> replace_session(service& with, request& what) {
  co_return co_await change_in(with, what, true);
}

awaitable<response> merge_session(service& with, request& what) {
  co_return co_await change_in(with, what, false);
}

awaitable<response> end_session(service& with, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  const auto done = co_await with.sessions.end(with.project, what.params[0]);
  if (!done) co_return problem(done.error());
  co_return empty_response();
}

awaitable<response> rotate_session(service& with, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  auto repeated = read_idempotency_key(what, with.project, "POST /v1/sessions/{id}:rotate");
  if (!repeated) co_return problem(repeated.error());
  const auto version = read_if_match(what);
  if (!version) co_return problem(version.error());
  auto step = decode_rotate_session(what.body, with.project, with.options.sessions);
  if (!step) co_return problem(step.error());
  step->if_version = *version;
  const auto made =
      co_await with.sessions.rotate(what.params[0], std::move(*step), std::move(*repeated));
  if (!made) co_return problem(made.error());
  co_return show(*made, 200);
}

awaitable<response> list_sessions(service& with, request& what) {
  auto query = query_reader::parse(what.query);
  if (!query) co_return problem(query.error());
  co_return co_await list_of(with, *query, query->text("user"));
}

awaitable<response> list_user_sessions(service& with, request& what) {
  const auto named = check_key(what.params[0], "user");
  if (!named) co_return problem(named.error());
  auto query = query_reader::parse(what.query);
  if (!query) co_return problem(query.error());
  co_return co_await list_of(with, *query, what.params[0]);
}

awaitable<response> end_user_sessions(service& with, request& what) {
  constexpr std::uint64_t ref_max = (std::uint64_t{1} << 53U) - 1;
  auto query = query_reader::parse(what.query);
  if (!query) co_return problem(query.error());
  engine::end_user_sessions step{.project = with.project, .user = what.params[0]};
  step.only = query->count("ref", 1, ref_max, 0);
  step.except = query->count("except", 1, ref_max, 0);
  const auto checked = query->finish();
  if (!checked) co_return problem(checked.error());
  const auto ended = co_await with.sessions.end_of_user(std::move(step));
  if (!ended) co_return problem(ended.error());
  co_return json_response(fmt::format(R"({{"ended":{}}})", *ended));
}

}  // namespace millrace::http
