#include "group_codec.hpp"
#include "route_support.hpp"
#include "routes.hpp"

#include <millrace/base/json.hpp>
#include <millrace/base/names.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/engine/group_rules.hpp>

#include <algorithm>
#include <charconv>
#include <utility>

/// Groups of consumers of a stream.
namespace millrace::http {
namespace {

using verdict = engine::settle_deliveries::verdict;

constexpr std::uint64_t pending_default = 100;

result<engine::stream_key> stream_in_path(const service& with, const request& what) {
  result<void> named = check_key(what.params[0], "stream");
  if (!named) return std::unexpected(std::move(named.error()));
  return engine::stream_key{.project = with.project, .name = what.params[0]};
}

result<engine::group_key> group_in_path(const service& with, const request& what) {
  auto stream = stream_in_path(with, what);
  if (!stream) return std::unexpected(std::move(stream.error()));
  result<void> named = check_name(what.params[1], "group");
  if (!named) return std::unexpected(std::move(named.error()));
  return engine::group_key{.stream = std::move(*stream), .group = what.params[1]};
}

// Where a group begins that reads from there. borrows: awaited in place
awaitable<result<engine::group_start>> start_of(service& with, const engine::stream_key& stream,
                                                const event_position& from) {
  if (from.at) co_return co_await with.readers.start_at(stream, *from.at);
  engine::group_start out;
  if (from.latest) out.at = engine::group_start::place::latest;
  if (from.cursor) out = {.at = engine::group_start::place::cursor, .cursor = *from.cursor};
  co_return out;
}

awaitable<void> read_into(consumers* from, engine::read_group step, duration wait,
                          result<engine::group_read>* into) {
  *into = co_await from->read(std::move(step), wait);
}

response answer_read(const engine::group_read& got) {
  std::string body;
  append_group_read(body, got);
  return json_response(std::move(body));
}

// Nobody is there any more to work on them. borrows: awaited in place
awaitable<void> hand_back(service& with, const engine::read_group& step,
                          const engine::group_read& got) {
  engine::settle_deliveries back{
      .group = step.group, .consumer = step.consumer, .offsets = {}, .what = verdict::again};
  for (const engine::group_delivery& each : got.events) back.offsets.push_back(each.what.offset);
  // What cannot be handed back comes again when its lease ends.
  (void)co_await with.readers.settle(std::move(back));
}

awaitable<response> settle(service& with, request& what, verdict how) {
  const auto stream = stream_in_path(with, what);
  if (!stream) co_return problem(stream.error());
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  auto step = decode_settle(what.body, *stream, how);
  if (!step) co_return problem(step.error());
  const auto done = co_await with.readers.settle(std::move(*step));
  if (!done) co_return problem(done.error());
  std::string body;
  append_settled(body, *done);
  co_return json_response(std::move(body));
}

}  // namespace

awaitable<response> read_for_group(service& with, request& what) {
  const auto stream = stream_in_path(with, what);
  if (!stream) co_return problem(stream.error());
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  auto asked = decode_group_read(what.body, *stream);
  if (!asked) co_return problem(asked.error());
  auto start = co_await start_of(with, *stream, asked->from);
  if (!start) co_return problem(start.error());
  asked->step.start = *start;
  // Mostly there is something, or nobody wants to wait: then no watch over the client is set up.
  result<engine::group_read> got = co_await with.readers.read(asked->step, duration{0});
  if (!got) co_return problem(got.error());
  const bool something = !got->events.empty() || got->gap != engine::gap_reason::none;
  if (something || asked->wait == duration{0} || with.stopping) co_return answer_read(*got);
  const engine::group_read nothing = *got;
  co_await while_there(*what.from, read_into(&with.readers, asked->step, asked->wait, &got));
  if (!got && got.error().kind == errc::cancelled) co_return answer_read(nothing);
  if (!got) co_return problem(got.error());
  if (!got->events.empty() && !with.stopping && has_gone(*what.from)) {
    co_await hand_back(with, asked->step, *got);
    co_return answer_read(nothing);
  }
  co_return answer_read(*got);
}

awaitable<response> ack_events(service& with, request& what) {
  return settle(with, what, verdict::done);
}
awaitable<response> release_events(service& with, request& what) {
  return settle(with, what, verdict::again);
}
awaitable<response> extend_events(service& with, request& what) {
  return settle(with, what, verdict::extend);
}

awaitable<response> list_event_groups(service& with, request& what) {
  const auto stream = stream_in_path(with, what);
  if (!stream) co_return problem(stream.error());
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  const auto groups = co_await engine::ask(with.store, engine::list_groups{*stream});
  if (!groups) co_return problem(groups.error());
  std::string body = R"({"groups":[)";
  for (const engine::group_info& each : *groups) {
    if (&each != &groups->front()) body += ',';
    append_group(body, each);
  }
  body += "]}";
  co_return json_response(std::move(body));
}

awaitable<response> put_event_group(service& with, request& what) {
  const auto group = group_in_path(with, what);
  if (!group) co_return problem(group.error());
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  const auto asked = decode_group(what.body);
  if (!asked) co_return problem(asked.error());
  const auto start = co_await start_of(with, group->stream, asked->from);
  if (!start) co_return problem(start.error());
  const auto done = co_await engine::commit_step<engine::group_changed>(
      with.store, engine::put_group{.group = *group, .start = *start, .move = asked->move},
      with.store.traits().strongest);
  if (!done) co_return problem(done.error());
  std::string body;
  append_group(body, done->group);
  co_return json_response(std::move(body), done->made ? 201 : 200);
}

awaitable<response> delete_event_group(service& with, request& what) {
  const auto group = group_in_path(with, what);
  if (!group) co_return problem(group.error());
  const auto checked = check_bare(what);
  if (!checked) co_return problem(checked.error());
  const auto done = co_await engine::commit_step<engine::group_changed>(
      with.store, engine::delete_group{*group}, with.store.traits().strongest);
  if (!done) co_return problem(done.error());
  co_return empty_response();
}

awaitable<response> list_pending_events(service& with, request& what) {
  const auto group = group_in_path(with, what);
  if (!group) co_return problem(group.error());
  auto query = query_reader::parse(what.query);
  if (!query) co_return problem(query.error());
  engine::list_pending asked{.group = *group};
  asked.limit =
      static_cast<std::uint32_t>(query->count("limit", 1, engine::page_items_max, pending_default));
  const auto cursor = query->text("cursor");
  const auto finished = query->finish();
  if (!finished) co_return problem(finished.error());
  if (cursor) {
    const char* const end = cursor->data() + cursor->size();
    const auto [stopped, code] = std::from_chars(cursor->data(), end, asked.after);
    if (code != std::errc{} || stopped != end) {
      co_return problem(error{.kind = errc::malformed,
                              .code = "bad_cursor",
                              .detail = "The cursor is not one of this listing.",
                              .field = "cursor"});
    }
  }
  const auto groups = co_await engine::ask(with.store, engine::list_groups{group->stream});
  if (!groups) co_return problem(groups.error());
  const bool known = std::ranges::any_of(
      *groups, [&](const engine::group_info& each) { return each.group == *group; });
  if (!known) co_return problem(engine::group_not_found());
  const auto pending = co_await engine::ask(with.store, asked);
  if (!pending) co_return problem(pending.error());
  std::string body = R"({"pending":[)";
  append_pending(body, *pending);
  body += ']';
  const bool full = pending->size() == asked.limit;
  append_list_end(body, full ? std::to_string(pending->back().offset) : std::string());
  co_return json_response(std::move(body));
}

}  // namespace millrace::http
