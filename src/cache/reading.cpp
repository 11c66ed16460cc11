#include "cache_state.hpp"
#include "entry_codec.hpp"

#include <millrace/cache/shared_cache.hpp>
#include <millrace/engine/async.hpp>

#include <algorithm>
#include <utility>

/// How entries are read: near or from the store, opened, and given as their family says.
namespace millrace::cache {

using engine::cache_entry;
using engine::cache_key;

const family* shared_cache::family_of(std::string_view key) const {
  const family_set& all = families();
  return all.families().empty() ? nullptr : all.family_of(key);
}

std::string_view shared_cache::family_name(std::string_view key) const {
  const family* const of = family_of(key);
  return of == nullptr ? std::string_view{} : std::string_view{of->spec.name};
}

shared_cache::key_use shared_cache::use_of(std::string_view key, stale too) const {
  key_use use{.of = family_of(key), .too = too};
  if (use.of != nullptr) use.outage = use.of->spec.outage;
  return use;
}

void shared_cache::note(const key_use& use, std::string_view key, const cache_entry* found) {
  if (found != nullptr) {
    state_->stats.hit(use.number(), key, found->stale);
  } else {
    state_->stats.miss(use.number(), key);
  }
  // Whoever loads by `get_or_set` counts there.
  const bool adapts = use.too == stale::by_family && use.of != nullptr && use.of->spec.adaptive;
  if (adapts) static_cast<void>(state_->stats.count_access(key));
}

void shared_cache::take_in(const key_use& use, const cache_key& at,
                           std::optional<cache_entry>& found, near_cache::ticket asked,
                           timestamp now) {
  if (found && open_entry(at.key, *found, use.spec(), ring())) {
    state_->stats.undecodable(use.number());
    found.reset();
  }
  const bool keeps = with_.near != nullptr && (use.of == nullptr || use.of->spec.local);
  if (found && keeps) with_.near->keep(at, *found, asked, now, use.terms());
  if (found && !use.gives(*found, now)) found.reset();
  note(use, at.key, found ? &*found : nullptr);
}

std::optional<shared_cache::aged_entry> shared_cache::find_near(const cache_key& at,
                                                                const key_use& use) {
  if (with_.near == nullptr) return std::nullopt;
  auto hit = with_.near->find(at, use.takes_stale());
  if (!hit || !use.gives(hit->what, hit->what.created_at + hit->age)) return std::nullopt;
  return aged_entry{.what = std::move(hit->what), .age = hit->age};
}

result<std::optional<shared_cache::aged_entry>> shared_cache::away(const cache_key& at,
                                                                   const key_use& use, error why) {
  const bool decides = use.too == stale::by_family && use.of != nullptr &&
                       use.of->spec.outage != outage_rule::refuse;
  if (!decides || why.kind != errc::unavailable) return std::unexpected(std::move(why));
  std::optional<aged_entry> kept;
  if (use.of->spec.outage == outage_rule::serve_stale && with_.near != nullptr) {
    if (auto hit = with_.near->find_in_outage(at)) {
      kept = aged_entry{.what = std::move(hit->what), .age = hit->age};
    }
  }
  note(use, at.key, kept ? &kept->what : nullptr);
  return kept;
}

// With something near to give nobody loads because of a store that was only slow.
duration shared_cache::patience_of(const cache_key& at, const key_use& use) {
  if (with_.patience == duration{0} || !use.outage) return duration{0};
  const bool has_near = use.outage == outage_rule::serve_stale && with_.near != nullptr &&
                        with_.near->find_in_outage(at);
  return has_near ? std::min<duration>(near_patience, with_.patience) : with_.patience;
}

awaitable<result<engine::read_cache::found>> shared_cache::ask(engine::read_cache what,
                                                               duration patience) {
  auto any = co_await state_->pulse.ask(std::move(what), patience);
  if (!any) co_return std::unexpected(std::move(any.error()));
  co_return std::get<engine::read_cache::found>(std::move(*any));
}

awaitable<result<std::optional<shared_cache::aged_entry>>> shared_cache::get_aged(cache_key at,
                                                                                  stale too) {
  const key_use use = use_of(at.key, too);
  co_return co_await read(std::move(at), use);
}

awaitable<result<std::optional<shared_cache::aged_entry>>> shared_cache::read(cache_key at,
                                                                              key_use use) {
  if (auto near = find_near(at, use)) {
    note(use, at.key, &near->what);
    state_->near_hits.fetch_add(1, std::memory_order_relaxed);
    co_return near;
  }
  near_cache::ticket asked{};
  if (with_.near != nullptr) asked = with_.near->take_ticket();
  engine::read_cache query{.project = at.project, .keys = {at.key}, .stale = use.takes_stale()};
  auto given = co_await ask(std::move(query), patience_of(at, use));
  if (!given) co_return away(at, use, std::move(given.error()));
  std::optional<cache_entry>& found = given->entries.front();
  take_in(use, at, found, asked, given->now);
  if (!found) co_return std::nullopt;
  const duration age = std::max(duration{0}, given->now - found->created_at);
  co_return aged_entry{.what = std::move(*found), .age = age};
}

// Only where all are there: a part of them saves no round trip.
std::optional<std::vector<std::optional<cache_entry>>> shared_cache::find_all_near(
    const std::string& project, const std::vector<std::string>& keys, stale too) {
  if (with_.near == nullptr || keys.empty()) return std::nullopt;
  std::vector<std::optional<cache_entry>> all;
  std::size_t bytes = 0;
  for (const std::string& key : keys) {
    auto hit = find_near({.project = project, .key = key}, use_of(key, too));
    if (!hit) return std::nullopt;
    bytes += hit->what.value.size();
    if (bytes > engine::cache_read_bytes_max && !all.empty()) break;
    all.emplace_back(std::move(hit->what));
  }
  for (std::size_t i = 0; i < all.size(); ++i) note(use_of(keys[i], too), keys[i], &*all[i]);
  state_->near_hits.fetch_add(all.size(), std::memory_order_relaxed);
  return all;
}

awaitable<std::vector<result<std::optional<cache_entry>>>> shared_cache::get_each(
    std::string project, std::vector<std::string> keys, stale too) {
  std::vector<result<std::optional<cache_entry>>> out;
  keys.resize(std::min(keys.size(), engine::cache_read_keys_max));
  if (auto near = find_all_near(project, keys, too)) {
    for (std::optional<cache_entry>& each : *near) out.emplace_back(std::move(each));
    co_return out;
  }
  std::vector<key_use> uses;
  uses.reserve(keys.size());
  for (const std::string& key : keys) uses.push_back(use_of(key, too));
  near_cache::ticket asked{};
  if (with_.near != nullptr) asked = with_.near->take_ticket();
  engine::read_cache query{.project = project, .keys = keys};
  query.stale = std::ranges::any_of(uses, &key_use::takes_stale);
  const bool waits = std::ranges::any_of(uses, [](const key_use& use) { return !use.outage; });
  auto given = co_await ask(std::move(query), waits ? duration{0} : with_.patience);
  const std::size_t count = given ? given->entries.size() : keys.size();
  for (std::size_t i = 0; i < count; ++i) {
    const cache_key at{.project = project, .key = std::move(keys[i])};
    if (given) {
      take_in(uses[i], at, given->entries[i], asked, given->now);
      out.emplace_back(std::move(given->entries[i]));
      continue;
    }
    auto kept = away(at, uses[i], given.error());
    if (!kept) {
      out.emplace_back(std::unexpected(std::move(kept.error())));
    } else if (*kept) {
      out.emplace_back(std::move((*kept)->what));
    } else {
      out.emplace_back(std::nullopt);
    }
  }
  co_return out;
}

awaitable<result<std::vector<std::optional<cache_entry>>>> shared_cache::get_some(
    std::string project, std::vector<std::string> keys, stale too) {
  auto each = co_await get_each(std::move(project), std::move(keys), too);
  std::vector<std::optional<cache_entry>> out;
  out.reserve(each.size());
  for (result<std::optional<cache_entry>>& one : each) {
    if (!one) co_return std::unexpected(std::move(one.error()));
    out.push_back(std::move(*one));
  }
  co_return out;
}

awaitable<result<std::optional<cache_entry>>> shared_cache::get(cache_key at, stale too) {
  auto found = co_await get_aged(std::move(at), too);
  if (!found) co_return std::unexpected(std::move(found.error()));
  if (!*found) co_return std::nullopt;
  co_return std::move((*found)->what);
}

}  // namespace millrace::cache
