#include "route_support.hpp"
#include "routes.hpp"

#include <millrace/base/text_time.hpp>
#include <millrace/cache/parse_life.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/http/cache_codec.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <utility>

/// One entry of the cache.
namespace millrace::http {
namespace {

using cache::shared_cache;
using engine::cache_expectation;

engine::cache_key key_in_path(const service& with, const request& what) {
  return {.project = with.project, .key = what.params[0]};
}

error cache_miss() {
  return {.kind = errc::not_found,
          .code = "cache_miss",
          .detail = "There is nothing under this key, or no longer."};
}

// Known, and kept so that it is not looked for again: no miss.
error cached_nothing() {
  return {.kind = errc::not_found,
          .code = "cached_nothing",
          .detail = "It is known that there is nothing under this key, until that expires."};
}

// `Expires: …`, as HTTP writes dates.
std::string http_date(timestamp at) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(at.time_since_epoch()).count();
  const std::time_t time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  gmtime_r(&time, &parts);
  std::array<char, 64> text{};
  const std::size_t bytes =
      std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return {text.data(), bytes};
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Whether one of the entity tags is that of the version.
bool names_version(std::string_view tags, std::uint64_t version) {
  while (!tags.empty()) {
    const std::size_t comma = std::min(tags.find(','), tags.size());
    const std::string_view tag = trimmed(tags.substr(0, comma));
    if (tag == "*" || version_of_tag(tag) == version) return true;
    tags.remove_prefix(std::min(comma + 1, tags.size()));
  }
  return false;
}

// What `If-Match` and `If-None-Match` ask of what is there before it is changed.
result<void> read_condition(const request& what, cache_expectation& expects,
                            std::uint64_t& version) {
  if (what.has(header::if_match)) {
    const std::string_view tag = trimmed(what[header::if_match]);
    expects = cache_expectation::present;
    if (tag == "*") return {};
    const auto named = version_of_tag(tag);
    if (!named || *named == 0) {
      return invalid("If-Match", "If-Match must be * or the ETag of an entry, such as \"17\".");
    }
    expects = cache_expectation::version;
    version = *named;
    return {};
  }
  if (!what.has(header::if_none_match)) return {};
  if (trimmed(what[header::if_none_match]) != "*") {
    return invalid("If-None-Match",
                   "If-None-Match must be * here: put only where there is nothing.");
  }
  expects = cache_expectation::absent;
  return {};
}

result<duration> read_span(query_reader& query, std::string_view name, duration otherwise) {
  const auto text = query.text(name);
  if (!text) return otherwise;
  return cache::parse_life(*text, name);
}

struct guarded_put {
  engine::put_cache step;
  std::optional<engine::pass_fence> guard;
};

result<guarded_put> read_put(const service& with, request& what) {
  auto query = query_reader::parse(what.query);
  if (!query) return std::unexpected(std::move(query.error()));
  engine::put_cache step{.at = key_in_path(with, what)};
  const bool has_ttl = query->has("ttl");
  // Zero: what its family says, or the default.
  const auto ttl = read_span(*query, "ttl", duration{0});
  const auto stale_for = read_span(*query, "stale_for", duration{0});
  step.tags = query->texts("tag");
  const auto lease = query->text("lease");
  const bool nothing = query->flag("nothing");
  auto guard = read_guard(*query, with.project);
  if (auto checked = query->finish(); !checked) return std::unexpected(std::move(checked.error()));
  if (!guard) return std::unexpected(std::move(guard.error()));
  if (!ttl) return std::unexpected(ttl.error());
  if (!stale_for) return std::unexpected(stale_for.error());
  if (has_ttl && *ttl == duration{0}) return invalid("ttl", "ttl must be more than 0.");
  step.ttl = *ttl;
  step.stale_for = *stale_for;
  if (lease) {
    const auto parsed = parse_cache_lease(*lease, "lease");
    if (!parsed) return std::unexpected(parsed.error());
    step.lease = *parsed;
  }
  if (auto read = read_condition(what, step.expects, step.version); !read) {
    return std::unexpected(std::move(read.error()));
  }
  step.content_type = nothing ? cache::nothing_type : what[header::content_type];
  step.value = std::move(what.body);
  return guarded_put{.step = std::move(step), .guard = std::move(*guard)};
}

// A write behind a fence happens together with the look at it. borrows: awaited in place
awaitable<result<engine::cache_stored>> put_entry(service& with, guarded_put what) {
  if (!what.guard) co_return co_await with.cache.put(std::move(what.step));
  if (auto ready = with.cache.prepare(what.step); !ready) {
    co_return std::unexpected(std::move(ready.error()));
  }
  engine::transaction one;
  one.steps.emplace_back(std::move(what.step));
  one.steps.emplace_back(std::move(*what.guard));
  auto done = co_await engine::commit(with.store, std::move(one));
  if (!done) co_return std::unexpected(std::move(done.error().why));
  auto stored = std::get<engine::cache_stored>(std::move(done->outcomes.front()));
  with.cache.count_evicted(stored);
  co_return stored;
}

// Leases come from the stamps of the store, which are taken from its clock in microseconds.
duration since_claimed(std::uint64_t lease, timestamp filled_at) {
  const auto claimed = from_micros(static_cast<std::int64_t>(lease));
  return std::clamp<duration>(filled_at - claimed, duration{0}, engine::claim_lease_max);
}

awaitable<void> claim_into(shared_cache* from, engine::claim_cache what, duration wait,
                           result<engine::cache_claimed>* into) {
  *into = co_await from->claim(std::move(what), wait);
}

}  // namespace

awaitable<response> get_cached(service& with, request& what) {
  auto query = query_reader::parse(what.query);
  if (!query) co_return problem(query.error());
  using stale = shared_cache::stale;
  const auto too = query->flag("stale") ? stale::yes : stale::by_family;
  const auto checked = query->finish();
  if (!checked) co_return problem(checked.error());
  auto found = co_await with.cache.get_aged(key_in_path(with, what), too);
  if (!found) co_return problem(found.error());
  if (!*found) {
    response none = problem(cache_miss());
    none.headers += "X-Cache: miss\r\n";
    co_return none;
  }
  engine::cache_entry& entry = (*found)->what;
  response out{.content_type = {}};
  const auto age = std::chrono::duration_cast<std::chrono::seconds>((*found)->age).count();
  out.headers =
      fmt::format("ETag: \"{}\"\r\nAge: {}\r\nExpires: {}\r\nX-Cache: {}\r\n", entry.version, age,
                  http_date(entry.expires_at), entry.stale ? "stale" : "hit");
  if (entry.content_type == cache::nothing_type) {
    response none = problem(cached_nothing());
    none.headers += out.headers;
    co_return none;
  }
  if (what.has(header::if_none_match) &&
      names_version(what[header::if_none_match], entry.version)) {
    out.status = 304;
    co_return out;
  }
  out.headers += fmt::format("Content-Type: {}\r\n", entry.content_type.empty()
                                                         ? std::string{"application/octet-stream"}
                                                         : entry.content_type);
  out.body = std::move(entry.value);
  co_return out;
}

awaitable<response> put_cached(service& with, request& what) {
  auto step = read_put(with, what);
  if (!step) co_return problem(step.error());
  const std::string key = step->step.at.key;
  const std::uint64_t lease = step->step.lease;
  const auto done = co_await put_entry(with, std::move(*step));
  if (!done) co_return problem(done.error());
  if (lease != 0) with.cache.count_load(key, since_claimed(lease, done->created_at));
  std::string body;
  append_cache_stored(body, key, *done);
  response out = json_response(std::move(body));
  out.headers = fmt::format("ETag: \"{}\"\r\n", done->version);
  co_return out;
}

awaitable<response> delete_cached(service& with, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  engine::delete_cache step{.at = key_in_path(with, what)};
  auto expects = cache_expectation::any;
  const auto read = read_condition(what, expects, step.version);
  if (!read) co_return problem(read.error());
  const auto done = co_await with.cache.remove(std::move(step));
  if (!done) co_return problem(done.error());
  co_return json_response(fmt::format(R"({{"deleted":{}}})", *done));
}

awaitable<response> claim_cached(service& with, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  const auto asked = decode_cache_claim(what.body);
  if (!asked) co_return problem(asked.error());
  const engine::claim_cache step{.at = key_in_path(with, what), .lease = asked->lease};
  // Mostly there is a value, or nobody fills it: then no watch over the client is set up.
  auto claimed = co_await with.cache.claim(step, duration{0});
  const bool waits = claimed && claimed->state == engine::claim_state::wait &&
                     asked->wait > duration{0} && !with.stopping;
  if (waits) {
    result<engine::cache_claimed> later = claimed;
    co_await while_there(*what.from, claim_into(&with.cache, step, asked->wait, &later));
    if (later || later.error().kind != errc::cancelled) claimed = std::move(later);
  }
  if (!claimed) co_return problem(claimed.error());
  std::string body;
  append_cache_claimed(body, *claimed);
  co_return json_response(std::move(body));
}

awaitable<response> renew_claimed(service& with, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  const auto asked = decode_cache_renewal(what.body);
  if (!asked) co_return problem(asked.error());
  const auto kept = co_await engine::commit_step<engine::cache_claimed>(
      with.store,
      engine::renew_claim{
          .at = key_in_path(with, what), .lease = asked->lease, .length = asked->length});
  if (!kept) co_return problem(kept.error());
  std::string body;
  append_cache_claimed(body, *kept);
  co_return json_response(std::move(body));
}

awaitable<response> release_claimed(service& with, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  const auto asked = decode_cache_release(what.body);
  if (!asked) co_return problem(asked.error());
  const auto done = co_await engine::commit_step<engine::cache_dropped>(
      with.store, engine::release_claim{.at = key_in_path(with, what), .lease = asked->lease});
  if (!done) co_return problem(done.error());
  co_return empty_response();
}

}  // namespace millrace::http
