#include "event_codec.hpp"
#include "idempotency.hpp"
#include "route_support.hpp"
#include "routes.hpp"

#include <millrace/base/json.hpp>
#include <millrace/base/names.hpp>
#include <millrace/engine/async.hpp>

#include <fmt/format.h>

#include <iterator>
#include <utility>
#include <variant>

namespace millrace::http {
namespace {

constexpr std::uint64_t history_default = 100;

result<engine::stream_key> stream_in_path(const service& with, const request& what) {
  result<void> named = check_key(what.params[0], "stream");
  if (!named) return std::unexpected(std::move(named.error()));
  return engine::stream_key{.project = with.project, .name = what.params[0]};
}

// Only what was asked for in so many words is refused where it cannot be given.
result<engine::durability> level_of(const service& with,
                                    const std::optional<engine::durability>& asked) {
  const engine::durability strongest = with.store.traits().strongest;
  if (!asked) return strongest;
  if (*asked <= strongest) return *asked;
  return fail(errc::unsupported, "durability_unavailable",
              fmt::format("durability '{}' is not to be had here: the strongest is '{}'.",
                          engine::to_string(*asked), engine::to_string(strongest)),
              "durability");
}

struct history_request {
  engine::read_events what;
};

result<history_request> read_history_request(const service& with, const request& what) {
  auto stream = stream_in_path(with, what);
  if (!stream) return std::unexpected(std::move(stream.error()));
  auto query = query_reader::parse(what.query);
  if (!query) return std::unexpected(std::move(query.error()));
  history_request out{.what = {.stream = std::move(*stream)}};
  const auto newest_first = read_newest_first(*query, true);
  const std::optional<std::string> cursor = query->text("cursor");
  const std::optional<std::string> from = query->text("from");
  out.what.limit =
      static_cast<std::uint32_t>(query->count("limit", 1, engine::page_items_max, history_default));
  if (auto finished = query->finish(); !finished) return std::unexpected(finished.error());
  if (!newest_first) return std::unexpected(newest_first.error());
  out.what.way = *newest_first ? engine::read_events::order::newest_first
                               : engine::read_events::order::oldest_first;
  if (cursor && from) return invalid("from", "from and cursor exclude each other: give one.");
  if (!cursor && !from) return out;
  auto position = parse_event_position(cursor ? *cursor : *from, cursor ? "cursor" : "from");
  if (!position) return std::unexpected(std::move(position.error()));
  const bool is_word = !position->cursor && !position->at;
  if (is_word && position->latest != *newest_first) {
    return invalid("from",
                   "from is earliest with order=oldest and latest with order=newest: "
                   "there is nothing else to read that way.");
  }
  out.what.from = position->cursor;
  out.what.at = position->at;
  return out;
}

}  // namespace

awaitable<response> publish_event(service& with, request& what) {
  const auto stream = stream_in_path(with, what);
  if (!stream) co_return problem(stream.error());
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  auto asked = decode_publish(what.body, *stream);
  if (!asked) co_return problem(asked.error());
  if (asked->step.what.correlation_id.empty()) {
    asked->step.what.correlation_id = what.correlation_id;
  }
  const auto level = level_of(with, asked->level);
  if (!level) co_return problem(level.error());
  auto key = read_idempotency_key(what, with.project, "POST /v1/events/{stream}");
  if (!key) co_return problem(key.error());
  engine::transaction one{.steps = {}, .level = *level, .idempotency = std::move(*key)};
  one.steps.emplace_back(std::move(asked->step));
  const auto done = co_await engine::commit(with.store, std::move(one));
  if (!done) co_return problem(done.error().why);
  const auto& made = std::get<engine::event_published>(done->outcomes.front());
  response answer{.status = made.duplicate ? 200U : 201U};
  append_published(answer.body, *stream, made);
  fmt::format_to(std::back_inserter(answer.body), R"(,"durability":"{}"}})",
                 engine::to_string(done->level));
  if (done->replayed) answer.headers = "Idempotency-Replayed: true\r\n";
  co_return answer;
}

awaitable<response> read_events(service& with, request& what) {
  const auto asked = read_history_request(with, what);
  if (!asked) co_return problem(asked.error());
  const auto page = co_await engine::ask(with.store, asked->what);
  if (!page) co_return problem(page.error());
  const bool newest = asked->what.way == engine::read_events::order::newest_first;
  std::string body = R"({"events":[)";
  for (const engine::event& each : page->events) {
    if (&each != &page->events.front()) body += ',';
    append_event_json(body, asked->what.stream, page->end.epoch, each);
  }
  // Forwards the cursor is good for what comes later too; backwards there is an end.
  const std::string cursor = newest && !page->more ? std::string() : page->end.text();
  body += page->more ? R"(],"more":true,"gap":)" : R"(],"more":false,"gap":)";
  if (page->gap == engine::gap_reason::none) {
    body += "null";
  } else {
    append_gap(body, asked->what.stream, asked->what.from.value_or(engine::event_cursor{}), *page);
  }
  append_list_end(body, cursor);
  co_return json_response(std::move(body));
}

awaitable<response> set_stream(service& with, request& what) {
  const auto stream = stream_in_path(with, what);
  if (!stream) co_return problem(stream.error());
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  auto step = decode_stream_settings(what.body, *stream);
  if (!step) co_return problem(step.error());
  const auto done = co_await engine::commit_step<engine::stream_configured>(
      with.store, std::move(*step), with.store.traits().strongest);
  if (!done) co_return problem(done.error());
  std::string body;
  append_stream(body, done->stream);
  co_return json_response(std::move(body));
}

}  // namespace millrace::http
