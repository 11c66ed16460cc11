#include "cache_state.hpp"
#include "entry_codec.hpp"

#include <millrace/cache/shared_cache.hpp>
#include <millrace/engine/async.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

/// Which keys were used most, kept for the next start; and loading them then.
namespace millrace::cache {

using engine::cache_key;

// What several loops that load have in common.
struct shared_cache::shared_list {
  std::string project;
  std::vector<std::string> keys;
  /// Of each key what is there and renewed; zero: nothing.
  std::vector<std::uint64_t> versions;
  key_loader load;
  fill_options with;
  std::atomic<std::size_t> next{0};
  std::atomic<std::size_t> loaded{0};
};

namespace {

constexpr std::size_t warmed_at_once_max = 64;
/// After this share of its life a popular entry is renewed.
constexpr double popular_ahead = 0.8;

bool is_aged(const engine::cache_entry& entry, timestamp now, double share) {
  const auto life = static_cast<double>((entry.expires_at - entry.created_at).count());
  return static_cast<double>((now - entry.created_at).count()) >= share * life;
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (end > 0) out.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

// `shared_list`, which only the cache itself may name.
template <class List>
awaitable<result<std::optional<loaded_value>>> load_key(List* from, std::string key) {
  co_return co_await from->load(key);
}

// borrows: awaited in place, by `warm`
template <class List>
awaitable<void> warm_some(shared_cache* in, List* from) {
  for (std::size_t i = from->next++; i < from->keys.size(); i = from->next++) {
    const std::string& key = from->keys[i];
    cache_key at{.project = from->project, .key = key};
    const loader load = [from, key] { return load_key(from, key); };
    const auto done = co_await in->get_or_set(std::move(at), load, from->with);
    if (done && done->loaded) ++from->loaded;
  }
}

// borrows: awaited in place, by `warm`
template <class List>
awaitable<void> warm_beside(shared_cache* in, List* from, std::size_t loops) {
  using namespace asio::experimental::awaitable_operators;
  if (loops <= 1) co_return co_await warm_some(in, from);
  co_await (warm_some(in, from) && warm_beside(in, from, loops - 1));
}

}  // namespace

awaitable<result<void>> shared_cache::record_top(std::string project) {
  std::string names;
  for (const used_key& one : state_->stats.top(top_keys_shown)) {
    if (one.key != top_keys_key) names.append(one.key).append(1, '\n');
  }
  if (names.empty()) co_return result<void>();
  const auto done = co_await put({.at = {.project = std::move(project), .key = top_keys_key},
                                  .value = std::move(names),
                                  .content_type = "text/plain",
                                  .ttl = top_keys_ttl});
  if (!done) co_return std::unexpected(done.error());
  co_return result<void>();
}

awaitable<result<std::size_t>> shared_cache::warm(std::string project, key_loader load,
                                                  fill_options with, std::size_t at_once) {
  if (at_once == 0 || at_once > warmed_at_once_max) {
    co_return invalid("at_once", "at_once must be 1 to 64.");
  }
  auto names = co_await get({.project = project, .key = top_keys_key});
  if (!names) co_return std::unexpected(std::move(names.error()));
  if (!*names) co_return std::size_t{0};
  shared_list from{.project = std::move(project),
                   .keys = lines_of((*names)->value),
                   .load = std::move(load),
                   .with = std::move(with)};
  co_await warm_beside(this, &from, std::min(at_once, std::max<std::size_t>(1, from.keys.size())));
  co_return from.loaded.load();
}

awaitable<result<std::size_t>> shared_cache::refresh_popular(std::string project, key_loader load,
                                                             fill_options with,
                                                             std::size_t at_once) {
  if (at_once == 0 || at_once > warmed_at_once_max) {
    co_return invalid("at_once", "at_once must be 1 to 64.");
  }
  if (auto fine = check_fill_options(with); !fine) co_return std::unexpected(fine.error());
  engine::read_cache query{.project = project, .bare = true};
  for (used_key& one : state_->stats.top(top_keys_shown)) {
    if (one.key != top_keys_key) query.keys.push_back(std::move(one.key));
  }
  if (query.keys.empty()) co_return std::size_t{0};
  const std::vector<std::string> keys = query.keys;
  auto read = co_await engine::ask(store_, std::move(query));
  if (!read) co_return std::unexpected(std::move(read.error()));
  const double share = with.ahead > 0 ? with.ahead : popular_ahead;
  shared_list from{.project = std::move(project), .load = std::move(load), .with = std::move(with)};
  for (std::size_t i = 0; i < read->entries.size() && i < keys.size(); ++i) {
    const auto& entry = read->entries[i];
    if (entry && !is_aged(*entry, read->now, share)) continue;
    from.keys.push_back(keys[i]);
    from.versions.push_back(entry ? entry->version : 0);
  }
  const std::size_t loops = std::min(at_once, std::max<std::size_t>(1, from.keys.size()));
  co_await refresh_beside(&from, loops);
  co_return from.loaded.load();
}

// borrows: awaited in place, by `refresh_popular`
awaitable<void> shared_cache::refresh_some(shared_list* from) {
  for (std::size_t i = from->next++; i < from->keys.size(); i = from->next++) {
    const std::string& key = from->keys[i];
    auto what = std::make_unique<work>(work{.at = {.project = from->project, .key = key},
                                            .load = [from, key] { return load_key(from, key); }});
    what->with = from->with;
    what->version = from->versions[i];
    if (what->version != 0) what->when = filling::early;
    const auto done = co_await in_flight(std::move(what));
    if (done && done->loaded) ++from->loaded;
  }
}

// borrows: awaited in place, by `refresh_popular`
awaitable<void> shared_cache::refresh_beside(shared_list* from, std::size_t loops) {
  using namespace asio::experimental::awaitable_operators;
  if (loops <= 1) co_return co_await refresh_some(from);
  co_await (refresh_some(from) && refresh_beside(from, loops - 1));
}

awaitable<result<std::size_t>> shared_cache::warm_near(std::string project) {
  if (with_.near == nullptr) co_return std::size_t{0};
  const auto names =
      co_await engine::ask(store_, engine::read_cache{.project = project, .keys = {top_keys_key}});
  if (!names) co_return std::unexpected(names.error());
  if (!names->entries.front()) co_return std::size_t{0};
  std::map<const family*, std::size_t> taken;
  std::vector<std::string> keys;
  std::vector<key_use> uses;
  for (std::string& key : lines_of(names->entries.front()->value)) {
    const key_use use = use_of(key, stale::no);
    const std::size_t most = use.of == nullptr ? top_keys_shown : use.of->spec.warm;
    const bool wanted = (use.of == nullptr || use.of->spec.local) && taken[use.of] < most;
    if (!wanted || keys.size() == engine::cache_read_keys_max) continue;
    ++taken[use.of];
    keys.push_back(std::move(key));
    uses.push_back(use);
  }
  std::size_t warm = 0;
  while (!keys.empty()) {
    const near_cache::ticket asked = with_.near->take_ticket();
    auto read = co_await engine::ask(store_, engine::read_cache{.project = project, .keys = keys});
    if (!read) co_return std::unexpected(read.error());
    const std::size_t count = std::min(read->entries.size(), keys.size());
    for (std::size_t i = 0; i < count; ++i) {
      auto& found = read->entries[i];
      const cache_key at{.project = project, .key = keys[i]};
      if (!found || open_entry(at.key, *found, uses[i].spec(), ring())) continue;
      with_.near->keep(at, *found, asked, read->now, uses[i].terms());
      ++warm;
    }
    if (count == 0) break;
    keys.erase(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(count));
    uses.erase(uses.begin(), uses.begin() + static_cast<std::ptrdiff_t>(count));
  }
  co_return warm;
}

}  // namespace millrace::cache
