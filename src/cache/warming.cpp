#include "cache_state.hpp"
#include "entry_codec.hpp"

#include <millrace/cache/shared_cache.hpp>
#include <millrace/engine/async.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

/// Which keys were used most, kept for the next start; and loading them then.
namespace millrace::cache {

using engine::cache_key;

namespace {

constexpr std::size_t warmed_at_once_max = 64;

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (end > 0) out.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

// What several loops that warm have in common.
struct shared_list {
  std::string project;
  std::vector<std::string> keys;
  key_loader load;
  fill_options with;
  std::atomic<std::size_t> next{0};
  std::atomic<std::size_t> loaded{0};
};

awaitable<result<std::optional<loaded_value>>> load_key(shared_list* from, std::string key) {
  co_return co_await from->load(key);
}

// borrows: awaited in place, by `warm`
awaitable<void> warm_some(shared_cache* in, shared_list* from) {
  for (std::size_t i = from->next++; i < from->keys.size(); i = from->next++) {
    const std::string& key = from->keys[i];
    cache_key at{.project = from->project, .key = key};
    const loader load = [from, key] { return load_key(from, key); };
    const auto done = co_await in->get_or_set(std::move(at), load, from->with);
    if (done && done->loaded) ++from->loaded;
  }
}

// borrows: awaited in place, by `warm`
awaitable<void> warm_beside(shared_cache* in, shared_list* from, std::size_t loops) {
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

awaitable<result<std::size_t>> shared_cache::warm_near(std::string project) {
  if (with_.near == nullptr) co_return std::size_t{0};
  const auto names = co_await engine::ask(
      store_, engine::read_cache{.project = project, .keys = {top_keys_key}});
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
