#include "cache_state.hpp"
#include "entry_codec.hpp"

#include <millrace/base/names.hpp>
#include <millrace/cache/refresh_policy.hpp>
#include <millrace/cache/shared_cache.hpp>
#include <millrace/engine/async.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <span>
#include <utility>

/// What declared families and rules do to what is put, loaded and removed.
namespace millrace::cache {
namespace {

// So that what a text begins with is meant as it stands.
std::string glob_of_prefix(std::string_view text) {
  std::string made;
  for (const char one : text) {
    if (std::string_view{R"(*?[]^\)"}.contains(one)) made += '\\';
    made += one;
  }
  return made + '*';
}

error no_such_family(std::string_view name) {
  return {errc::invalid_argument, "unknown_family",
          fmt::format("There is no family '{}'; `millrace cache families` shows those there are.",
                      excerpt(name)),
          "family", std::nullopt};
}

// It is kept that there is nothing. Whoever says so has looked just now: it is never served stale.
result<void> prepare_nothing(engine::put_cache& what, const family_spec* spec) {
  if (!what.value.empty()) {
    return invalid("value", "Where there is nothing, no value is put: leave the body empty.");
  }
  what.stale_for = duration{0};
  if (what.ttl > duration{0}) return {};
  if (spec == nullptr || !spec->negative_ttl) {
    return invalid("ttl",
                   "Nobody says how long it is kept that there is nothing here: give ttl, or the "
                   "family of the key a negative_ttl.",
                   "negative_ttl_missing");
  }
  what.ttl = *spec->negative_ttl;
  return {};
}

result<void> check_keyed(const family_set& what, const secrets::key_ring* ring) {
  if (ring != nullptr) return {};
  for (const family& one : what.families()) {
    if (!one.spec.encrypt) continue;
    return invalid(fmt::format("cache.families.{}.encrypt", one.spec.name),
                   "what is encrypted needs a key: give MILLRACE_ENCRYPTION_KEYS or "
                   "encryption.key_file; `openssl rand -base64 32` makes one",
                   "missing_encryption_key");
  }
  return {};
}

}  // namespace

result<void> check_declared(const declared_cache& what) {
  return check_keyed(what.families, what.ring());
}

result<void> shared_cache::change_families(family_set to) {
  const std::scoped_lock lock(state_->changing);
  const auto same = [](const family& one, const family& other) { return one.spec == other.spec; };
  if (std::ranges::equal(to.families(), families().families(), same) &&
      std::ranges::equal(to.rules(), families().rules())) {
    return {};
  }
  if (auto fine = check_keyed(to, ring()); !fine) return fine;
  auto numbers = state_->numbers;
  for (const family& one : to.families()) numbers.try_emplace(one.spec.name, numbers.size());
  if (numbers.size() > families_max || state_->changed.size() >= family_changes_max) {
    return fail(errc::exhausted, "too_many_changes",
                "The families were changed too often, or had too many names: restart the server.",
                "cache.families");
  }
  to.renumber([&numbers](std::string_view name) { return numbers.find(name)->second; });
  const auto& now = state_->changed.emplace_back(std::make_unique<const family_set>(std::move(to)));
  state_->numbers = std::move(numbers);
  families_.store(now.get(), std::memory_order_release);
  // It was kept as the former ones say.
  if (with_.near != nullptr) with_.near->all_cleared();
  return {};
}

result<void> shared_cache::prepare(engine::put_cache& what) {
  state_->stats.age_when_due(std::chrono::steady_clock::now());
  const std::optional<family_match> match = families().match(what.at.key);
  const family_spec* const spec = match ? &match->of->spec : nullptr;
  if (what.content_type == nothing_type) {
    if (auto fine = prepare_nothing(what, spec); !fine) return fine;
  }
  if (what.ttl == duration{0}) {
    what.ttl = spec != nullptr ? spec->ttl.value_or(with_.default_ttl) : with_.default_ttl;
    if (spec != nullptr && spec->adaptive) {
      what.ttl = adapted_ttl(*spec->adaptive, state_->stats.accesses(what.at.key));
    }
    if (spec != nullptr && spec->jitter > 0) {
      what.ttl = jittered_ttl(what.ttl, spec->jitter, any_chance());
    }
  }
  if (spec != nullptr) {
    if (what.stale_for == duration{0} && what.content_type != nothing_type) {
      what.stale_for = std::max(spec->stale_while_revalidate, spec->stale_if_error);
    }
    for (std::string& tag : family_set::tags(*match)) {
      if (std::ranges::find(what.tags, tag) == what.tags.end()) what.tags.push_back(std::move(tag));
    }
  }
  state_->stats.stored(match ? match->of->number : access_stats::no_family, what.value.size(),
                       what.ttl);
  return seal_entry(what, spec, ring());
}

awaitable<result<rule_applied>> shared_cache::apply_rule(std::string project, std::string rule,
                                                         rule_parts parts) {
  std::vector<key_part> named;
  named.reserve(parts.size());
  for (const auto& [name, value] : parts) named.push_back({.name = name, .value = value});
  auto what = families().expand(rule, named);
  if (!what) co_return std::unexpected(std::move(what.error()));
  for (std::vector<std::string>* list : {&what->keys, &what->tags}) {
    std::ranges::sort(*list);
    list->erase(std::ranges::unique(*list).begin(), list->end());
  }
  engine::transaction all{.level = engine::durability::async};
  for (std::string& key : what->keys) {
    all.steps.emplace_back(engine::delete_cache{.at = {.project = project, .key = std::move(key)}});
  }
  for (std::string& tag : what->tags) {
    all.steps.emplace_back(engine::invalidate_tag{.project = project, .tag = std::move(tag)});
  }
  rule_applied out{.tags = what->tags.size()};
  if (!all.steps.empty()) {
    const engine::commit_result done = co_await engine::commit(store_, std::move(all));
    if (!done) co_return std::unexpected(done.error().why);
    for (const engine::outcome& each : done->outcomes) {
      out.keys += std::get<engine::cache_dropped>(each).count;
    }
  }
  for (const std::string& prefix : what->prefixes) {
    const auto gone = co_await remove_matching(project, glob_of_prefix(prefix));
    if (!gone) co_return std::unexpected(gone.error());
    out.keys += *gone;
  }
  co_return out;
}

awaitable<result<filled>> shared_cache::cached(std::string family_name, engine::cache_key at,
                                               loader load) {
  const family* const wanted = families().find(family_name);
  if (wanted == nullptr) co_return std::unexpected(no_such_family(family_name));
  if (family_of(at.key) != wanted) {
    co_return invalid("key",
                      fmt::format("'{}' is no key of the family '{}': those are {}",
                                  excerpt(at.key), wanted->spec.name, wanted->spec.pattern),
                      "not_of_family");
  }
  co_return co_await get_or_set(std::move(at), std::move(load), fill_options_of(wanted->spec));
}

void shared_cache::count_evicted(const engine::cache_stored& done) {
  for (const std::string& key : done.evicted) {
    const family* const of = family_of(key);
    state_->stats.evicted(of == nullptr ? access_stats::no_family : of->number);
  }
}

void shared_cache::count_load(std::string_view key, duration took) {
  state_->stats.load(use_of(key, stale::no).number(), took, false);
}

std::vector<family_numbers> shared_cache::numbers_by_family() const {
  const std::span<const family> all = families().families();
  if (all.empty()) return {};
  std::vector<local_group_usage> near;
  if (with_.near != nullptr) near = with_.near->groups();
  const auto near_of = [&near](std::size_t group) {
    return group < near.size() ? near[group] : local_group_usage{};
  };
  std::vector<family_numbers> out;
  for (const family& one : all) {
    out.push_back({.name = one.spec.name,
                   .figures = state_->stats.figures(one.number),
                   .near = near_of(one.number + 1)});
  }
  out.push_back(
      {.name = {}, .figures = state_->stats.figures(access_stats::no_family), .near = near_of(0)});
  return out;
}

}  // namespace millrace::cache
