#include "sse_presence.hpp"

#include <millrace/engine/async.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <utility>

namespace millrace::http {
namespace {

/// An entry lives 300 s: two signs of life may be lost.
constexpr std::chrono::seconds kept{300};
constexpr std::chrono::seconds renewed_every{100};
/// Entries of one commit.
constexpr std::size_t written_at_once = 500;

// Two servers may have one name, and one may come back: its clients are others.
std::string fresh_prefix(const std::string& server) {
  std::random_device device;
  return fmt::format("sse-{}-{:08x}", server, device());
}

}  // namespace

sse_presence::sse_presence(engine::store& store, std::string server_id)
    : store_(store),
      server_(server_id.empty() ? "server" : std::move(server_id)),
      prefix_(fresh_prefix(server_)) {}

std::uint64_t sse_presence::add(live_listener who) {
  const std::uint64_t id = ++last_;
  all_.emplace(id, std::move(who));
  renewals_.push_front({.id = id, .at = {}});
  return id;
}

void sse_presence::remove(std::uint64_t id) {
  const auto found = all_.find(id);
  if (found == all_.end()) return;
  left_.emplace_back(id, std::move(found->second.project));
  all_.erase(found);
}

std::string sse_presence::name_of(std::uint64_t id) const {
  return fmt::format("{}-{}", prefix_, id);
}

engine::transaction sse_presence::put(std::uint64_t id, const live_listener& who) const {
  engine::transaction one{.steps = {},
                          .level = std::min(engine::durability::async, store_.traits().strongest),
                          .idempotency = {}};
  one.steps.emplace_back(engine::put_connection{.project = who.project,
                                                .what = {.id = name_of(id),
                                                         .flow_id = who.flow,
                                                         .user = who.user,
                                                         .server = server_,
                                                         .connected_at = {},
                                                         .seen_at = {}},
                                                .ttl = kept});
  return one;
}

engine::transaction sse_presence::drop(std::uint64_t id, const std::string& project) const {
  engine::transaction one{.steps = {},
                          .level = std::min(engine::durability::async, store_.traits().strongest),
                          .idempotency = {}};
  one.steps.emplace_back(engine::drop_connection{.project = project, .connection = name_of(id)});
  return one;
}

awaitable<void> sse_presence::write() {
  const auto now = std::chrono::steady_clock::now();
  while (true) {
    std::vector<engine::transaction> batch;
    while (!renewals_.empty() && renewals_.front().at <= now && batch.size() < written_at_once) {
      const std::uint64_t id = renewals_.front().id;
      renewals_.pop_front();
      const auto found = all_.find(id);
      if (found == all_.end()) continue;
      batch.push_back(put(id, found->second));
      renewals_.push_back({.id = id, .at = now + renewed_every});
    }
    while (!left_.empty() && batch.size() < written_at_once) {
      batch.push_back(drop(left_.back().first, left_.back().second));
      left_.pop_back();
    }
    if (batch.empty()) co_return;
    const auto written = co_await engine::commit_each(store_, std::move(batch));
    // What could not be taken out goes by itself.
    const bool away = !written.front() && written.front().error().why.kind == errc::unavailable;
    if (away) left_.clear();
    if (away) co_return;
  }
}

awaitable<void> sse_presence::write_last() {
  for (auto& [id, who] : all_) left_.emplace_back(id, std::move(who.project));
  all_.clear();
  co_await write();
}

}  // namespace millrace::http
