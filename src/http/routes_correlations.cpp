#include "event_codec.hpp"
#include "progress_codec.hpp"
#include "route_support.hpp"
#include "routes.hpp"

#include <millrace/base/json.hpp>
#include <millrace/base/names.hpp>
#include <millrace/events/correlated.hpp>
#include <millrace/http/job_codec.hpp>

#include <utility>

namespace millrace::http {
namespace {

template <class Items, class Append>
void append_all(std::string& out, std::string_view name, const Items& items, Append append) {
  out += name;
  for (const auto& each : items) {
    if (&each != &items.front()) out += ',';
    append(each);
  }
  out += ']';
}

}  // namespace

awaitable<response> show_correlation(service& with, request& what) {
  const auto named = check_key(what.params[0], "correlation_id");
  if (!named) co_return problem(named.error());
  auto query = query_reader::parse(what.query);
  if (!query) co_return problem(query.error());
  const list_request list = read_list_request(*query);
  const auto checked = query->finish();
  if (!checked) co_return problem(checked.error());
  const auto found = co_await read_correlated(with.store, {.project = with.project,
                                                           .correlation_id = what.params[0],
                                                           .limit = list.limit,
                                                           .cursor = list.cursor});
  if (!found) co_return problem(found.error());
  std::string body = R"({"correlation_id":)";
  append_json_string(body, what.params[0]);
  body += R"(,"progress":)";
  if (found->progress) {
    append_progress_entry(body, *found->progress);
  } else {
    body += "null";
  }
  append_all(body, R"(,"jobs":[)", found->what.jobs,
             [&](const engine::job& each) { append_job(body, each); });
  append_all(body, R"(,"events":[)", found->what.events, [&](const engine::correlated_event& each) {
    append_event_json(body, each.stream, each.epoch, each.what);
  });
  body += found->what.complete ? R"(,"complete":true)" : R"(,"complete":false)";
  append_list_end(body, found->what.cursor);
  co_return json_response(std::move(body));
}

}  // namespace millrace::http
