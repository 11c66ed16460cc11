#include "route_support.hpp"
#include "routes.hpp"

#include <millrace/base/json.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/engine/checks.hpp>
#include <millrace/http/cache_codec.hpp>
#include <millrace/http/job_codec.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

/// Many entries of the cache, and all of them.
namespace millrace::http {
namespace {

response answer_count(const result<std::uint64_t>& count) {
  if (!count) return problem(count.error());
  return json_response(fmt::format(R"({{"deleted":{}}})", *count));
}

void append_error(std::string& out, const error& why) {
  out += R"({"error":)";
  append_problem(out, why);
  out += '}';
}

void append_read(std::string& out, std::string_view key,
                 const result<std::optional<engine::cache_entry>>& found) {
  out += R"({"key":)";
  append_json_string(out, key);
  if (!found) {
    out += R"(,"error":)";
    append_problem(out, found.error());
  } else if (*found) {
    out += R"(,"found":true,)";
    append_cache_value(out, **found);
  } else {
    out += R"(,"found":false)";
  }
  out += '}';
}

// borrows: awaited in place
awaitable<response> put_together(service& with, std::vector<result<engine::put_cache>> items) {
  std::vector<engine::put_cache> steps;
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!items[i]) {
      error why = std::move(items[i].error());
      why.field = fmt::format("items.{}.{}", i, why.field);
      co_return problem(why);
    }
    keys.push_back(items[i]->at.key);
    steps.push_back(std::move(*items[i]));
  }
  auto done = co_await with.cache.put_all(std::move(steps));
  if (!done) {
    error why = std::move(done.error());
    why.field = "items." + why.field;
    co_return problem(why);
  }
  std::string body = R"({"items":[)";
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (i > 0) body += ',';
    append_cache_stored(body, keys[i], (*done)[i]);
  }
  body += "]}";
  co_return json_response(std::move(body));
}

// borrows: awaited in place
awaitable<response> put_each(service& with, std::vector<result<engine::put_cache>> items) {
  std::vector<engine::put_cache> steps;
  std::vector<std::string> keys;
  for (result<engine::put_cache>& each : items) {
    keys.push_back(each ? each->at.key : std::string{});
    if (each) steps.push_back(std::move(*each));
  }
  std::vector<result<engine::cache_stored>> done;
  if (!steps.empty()) done = co_await with.cache.put_each(std::move(steps));
  std::string body = R"({"items":[)";
  auto next = done.begin();
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) body += ',';
    if (!items[i]) {
      append_error(body, items[i].error());
    } else if (const auto& each = *next++; each) {
      append_cache_stored(body, keys[i], *each);
    } else {
      append_error(body, each.error());
    }
  }
  body += "]}";
  co_return json_response(std::move(body));
}

// What is wrong with a part is said where it was given.
// borrows: awaited in place
awaitable<response> apply_rule(service& with, std::string rule,
                               cache::shared_cache::rule_parts parts) {
  auto done = co_await with.cache.apply_rule(with.project, std::move(rule), std::move(parts));
  if (!done) {
    error why = std::move(done.error());
    const bool of_part = why.kind == errc::invalid_argument && why.field != "rule";
    if (of_part) why.field = "part." + why.field;
    co_return problem(why);
  }
  co_return json_response(
      fmt::format(R"({{"deleted":{},"invalidated_tags":{}}})", done->keys, done->tags));
}

}  // namespace

awaitable<response> get_many_cached(service& with, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  auto asked = decode_cache_keys(what.body, true);
  if (!asked) co_return problem(asked.error());
  using stale = cache::shared_cache::stale;
  // What one answer carries ends where one read of the store does: of large values a few at a time.
  std::vector<std::string> keys = asked->keys;
  const auto found = co_await with.cache.get_each(with.project, std::move(keys),
                                                  asked->stale ? stale::yes : stale::by_family);
  // While the store is away some families have something to give still; where none has, no item
  // says more than the whole.
  const auto refused = [](const auto& each) { return !each.has_value(); };
  if (std::ranges::all_of(found, refused)) co_return problem(found.front().error());
  std::string body = R"({"items":[)";
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (i > 0) body += ',';
    append_read(body, asked->keys[i], found[i]);
  }
  body += R"(],"left_out":[)";
  for (std::size_t i = found.size(); i < asked->keys.size(); ++i) {
    if (i > found.size()) body += ',';
    append_json_string(body, asked->keys[i]);
  }
  body += "]}";
  co_return json_response(std::move(body));
}

awaitable<response> put_many_cached(service& with, request& what) {
  auto query = query_reader::parse(what.query);
  if (!query) co_return problem(query.error());
  const bool atomic = query->flag("atomic");
  const auto checked = query->finish();
  if (!checked) co_return problem(checked.error());
  auto items = decode_cache_items(what.body, with.project);
  if (!items) co_return problem(items.error());
  if (atomic) co_return co_await put_together(with, std::move(*items));
  co_return co_await put_each(with, std::move(*items));
}

awaitable<response> delete_many_cached(service& with, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  auto asked = decode_cache_keys(what.body, false);
  if (!asked) co_return problem(asked.error());
  std::vector<engine::delete_cache> steps;
  for (std::string& key : asked->keys) {
    steps.push_back({.at = {.project = with.project, .key = std::move(key)}});
  }
  std::uint64_t count = 0;
  const auto done = co_await with.cache.remove_each(std::move(steps));
  for (const auto& each : done) {
    if (!each) co_return problem(each.error());
    count += *each;
  }
  co_return answer_count(count);
}

awaitable<response> invalidate_cached(service& with, request& what) {
  auto query = query_reader::parse(what.query);
  if (!query) co_return problem(query.error());
  auto pattern = query->text("pattern");
  const auto tags = query->texts("tag");
  auto rule = query->text("rule");
  auto parts = query->prefixed("part");
  const auto checked = query->finish();
  if (!checked) co_return problem(checked.error());
  const int ways = (pattern ? 1 : 0) + (tags.empty() ? 0 : 1) + (rule ? 1 : 0);
  if (ways != 1) {
    co_return problem(invalid("pattern",
                              "One of pattern, tag and rule has to be given, and not two of them; "
                              "DELETE /admin/cache/clear clears everything.")
                          .error());
  }
  if (!rule && !parts.empty()) {
    co_return problem(invalid("part", "Parts go with a rule.").error());
  }
  if (rule) co_return co_await apply_rule(with, std::move(*rule), std::move(parts));
  if (pattern) co_return answer_count(co_await with.cache.remove_matching(with.project, *pattern));
  const auto fine = engine::check_cache_tags(tags);
  if (!fine) co_return problem(fine.error());
  for (const std::string& tag : tags) {
    const auto done = co_await with.cache.invalidate(with.project, tag);
    if (!done) co_return problem(done.error());
  }
  co_return json_response(fmt::format(R"({{"invalidated_tags":{}}})", tags.size()));
}

awaitable<response> list_cached(service& with, request& what) {
  auto query = query_reader::parse(what.query);
  if (!query) co_return problem(query.error());
  const list_request page = read_list_request(*query);
  auto pattern = query->text("pattern");
  const auto checked = query->finish();
  if (!checked) co_return problem(checked.error());
  if (pattern) {
    const auto fine = engine::check_cache_pattern(*pattern);
    if (!fine) co_return problem(fine.error());
  }
  const auto found =
      co_await engine::ask(with.store, engine::list_cache{.project = with.project,
                                                          .pattern = pattern.value_or(""),
                                                          .limit = page.limit,
                                                          .cursor = page.cursor});
  if (!found) co_return problem(found.error());
  std::string body = R"({"keys":[)";
  for (const auto& row : found->items) {
    if (&row != &found->items.front()) body += ',';
    body += R"({"key":)";
    append_json_string(body, row.key);
    fmt::format_to(std::back_inserter(body), R"(,"bytes":{}}})", row.bytes);
  }
  body += ']';
  append_list_end(body, found->cursor);
  co_return json_response(std::move(body));
}

}  // namespace millrace::http
