#include "route_support.hpp"
#include "routes.hpp"

#include <millrace/base/json.hpp>
#include <millrace/base/names.hpp>
#include <millrace/cache/key_check.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/http/cache_codec.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// What the cache counts, its families, and its end.
namespace millrace::http {
namespace {

error no_such_family(const service& with, std::string_view name) {
  std::string known;
  for (const cache::family& one : with.cache.families().families()) {
    known += fmt::format("{}{}", known.empty() ? "" : ", ", one.spec.name);
  }
  return {errc::invalid_argument, "unknown_family",
          fmt::format("There is no family '{}'; {}.", excerpt(name),
                      known.empty() ? std::string{"none is declared"} : "there are " + known),
          "family", std::nullopt};
}

// What the store holds of each family is not counted where it is away.
// borrows: awaited in place
awaitable<result<void>> append_families(service& with, std::string& body,
                                        const std::optional<std::string>& only,
                                        std::optional<std::uint64_t> entries) {
  auto numbers = with.cache.numbers_by_family();
  if (only) std::erase_if(numbers, [&](const auto& one) { return one.name != *only; });
  body += R"(,"families":[)";
  if (numbers.empty()) {
    body += ']';
    co_return result<void>();
  }
  std::optional<family_counts> counts;
  if (entries) {
    auto counted = co_await with.census.count(with.cache, with.project, *entries);
    if (!counted) co_return std::unexpected(std::move(counted.error()));
    counts = std::move(*counted);
  }
  for (const cache::family_numbers& one : numbers) {
    if (&one != &numbers.front()) body += ',';
    std::optional<family_count> held;
    if (counts) {
      const auto of = counts->of.find(one.name);
      held = of == counts->of.end() ? family_count{} : of->second;
    }
    append_family_numbers(body, one, held);
  }
  fmt::format_to(std::back_inserter(body), R"(],"families_estimated":{})",
                 counts && counts->estimated);
  co_return result<void>();
}

}  // namespace

awaitable<response> show_cache_stats(service& with, request& what) {
  auto query = query_reader::parse(what.query);
  if (!query) co_return problem(query.error());
  const auto only = query->text("family");
  const auto checked = query->finish();
  if (!checked) co_return problem(checked.error());
  if (only && with.cache.families().find(*only) == nullptr) {
    co_return problem(no_such_family(with, *only));
  }
  const auto of_store =
      co_await engine::ask(with.store, engine::read_cache_stats{.project = with.project});
  cache::cache_numbers numbers = with.cache.numbers();
  if (only) std::erase_if(numbers.top, [&](const auto& one) { return one.family != *only; });
  std::string body;
  append_open_cache_numbers(body, of_store ? &*of_store : nullptr, numbers);
  if (!of_store) {
    body += R"(,"error":)";
    append_problem(body, of_store.error());
  }
  body += R"(,"near":)";
  if (const auto* near = with.cache.near()) {
    append_near_usage(body, near->usage());
  } else {
    body += "null";
  }
  std::optional<std::uint64_t> entries;
  if (of_store) entries = of_store->entries;
  const auto done = co_await append_families(with, body, only, entries);
  if (!done) co_return problem(done.error());
  body += '}';
  co_return json_response(std::move(body));
}

awaitable<response> list_families(service& with, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  std::string body = R"({"families":[)";
  const cache::family_set& declared = with.cache.families();
  const auto families = declared.families();
  for (const cache::family& one : families) {
    if (&one != families.data()) body += ',';
    append_family(body, one.spec, with.cache.default_ttl());
  }
  body += R"(],"rules":[)";
  const auto rules = declared.rules();
  for (const cache::invalidation_rule& one : rules) {
    if (&one != rules.data()) body += ',';
    body += R"({"rule":)";
    append_json_string(body, one.name);
    body += R"(,"removes":[)";
    for (const std::string& pattern : one.removes) {
      if (&pattern != &one.removes.front()) body += ',';
      append_json_string(body, pattern);
    }
    body += "]}";
  }
  body += "]}";
  co_return json_response(std::move(body));
}

awaitable<response> clear_cached(service& with, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  const auto count = co_await with.cache.clear(with.project);
  if (!count) co_return problem(count.error());
  if (!with.options.sessions.encrypt) {
    // Nothing is left that a key would be needed for.
    const auto keys = co_await with.cache.clear(cache::key_check_project);
    if (!keys) co_return problem(keys.error());
  }
  co_return json_response(fmt::format(R"({{"deleted":{}}})", *count));
}

awaitable<response> show_cache_health(service& with, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  const auto of_store =
      co_await engine::ask(with.store, engine::read_cache_stats{.project = with.project});
  const cache::cache_numbers numbers = with.cache.numbers();
  std::string body =
      fmt::format(R"({{"status":"{}","engine":"{}","hit_rate":{:.4f},"hits":{},"misses":{})",
                  of_store ? "ok" : "failing", with.store.traits().engine, hit_rate(numbers),
                  numbers.hits + numbers.stale, numbers.misses);
  if (of_store) {
    fmt::format_to(std::back_inserter(body), R"(,"entries":{},"bytes":{},"bytes_max":{})",
                   of_store->entries, of_store->bytes, of_store->bytes_max);
  } else {
    body += R"(,"error":)";
    append_problem(body, of_store.error());
  }
  body += '}';
  co_return json_response(std::move(body), of_store ? 200 : 503);
}

}  // namespace millrace::http
