#include "route_support.hpp"
#include "routes.hpp"

#include <millrace/base/json.hpp>
#include <millrace/base/names.hpp>
#include <millrace/http/job_codec.hpp>

#include <string>
#include <utility>

/// Who is shut out.
namespace millrace::http {

awaitable<response> list_blocks(service& with, request& what) {
  auto query = query_reader::parse(what.query);
  if (!query) co_return problem(query.error());
  list_request list = read_list_request(*query);
  engine::list_limit_blocks asked{
      .project = with.project, .limit = list.limit, .cursor = std::move(list.cursor)};
  if (auto scope = query->text("scope")) {
    if (const auto named = check_name(*scope, "scope"); !named) co_return problem(named.error());
    asked.scope = std::move(*scope);
  }
  if (const auto checked = query->finish(); !checked) co_return problem(checked.error());
  const auto page = co_await with.limits.blocks(std::move(asked));
  if (!page) co_return problem(page.error());
  std::string body = R"({"blocks":[)";
  for (const engine::blocked_id& each : page->items) {
    if (&each != &page->items.front()) body += ',';
    body += R"({"scope":)";
    append_json_string(body, each.scope);
    body += R"(,"id":)";
    append_json_string(body, each.id);
    body += R"(,"blocked_until":)";
    append_time(body, each.until);
    body += '}';
  }
  body += ']';
  append_list_end(body, page->cursor);
  co_return json_response(std::move(body));
}

}  // namespace millrace::http
