#include "opening.hpp"

#include <fmt/format.h>

#include <utility>

namespace millrace::engine_redis {

using namespace std::chrono_literals;

namespace {

using engine::durability;

/// `everysec` syncs once a second, and lets one sync of two seconds pass before it waits.
constexpr auto everysec_window = 2s;
/// Without a sync of Redis' own the kernel writes back what is older than this.
constexpr auto kernel_window = 30s;

durability found_out(const redis::server_facts& facts) {
  if (!facts.aof_enabled) return durability::memory;
  return facts.appendfsync == "always" ? durability::durable : durability::async;
}

}  // namespace

result<engine::store_traits> judge(const redis::server_facts& facts, const options& with) {
  if (facts.mode == "cluster" || facts.mode == "sentinel") {
    return fail(errc::unsupported, "redis_not_standalone",
                fmt::format("{} runs as {}: give the address of a single server.",
                            with.where.text(), facts.mode));
  }
  if (facts.role == "slave") {
    return fail(errc::invalid_argument, "read_only_replica",
                fmt::format("{} is a read-only replica: give the address of its master.",
                            with.where.text()));
  }
  if (facts.evicts()) {
    return fail(errc::invalid_argument, "redis_evicts",
                fmt::format("{} throws keys away when its memory is full (maxmemory-policy {}), "
                            "and jobs with them: set maxmemory-policy to noeviction.",
                            with.where.text(), facts.maxmemory_policy));
  }
  engine::store_traits traits{.engine = "redis", .strongest = found_out(facts)};
  if (with.strongest) traits.strongest = *with.strongest;
  if (traits.strongest != durability::memory) {
    traits.async_window = facts.appendfsync == "no" ? kernel_window : everysec_window;
  }
  return traits;
}

awaitable<result<opened_server>> prepare(redis::connection& link, options with,
                                         std::string script) {
  result<void> ready = co_await link.ready();
  if (!ready) co_return std::unexpected(std::move(ready.error()));
  result<redis::server_facts> facts = co_await link.facts();
  if (!facts) co_return std::unexpected(std::move(facts.error()));
  result<engine::store_traits> traits = judge(*facts, with);
  if (!traits) co_return std::unexpected(std::move(traits.error()));
  result<redis::reply> loaded =
      co_await link.call(redis::command("SCRIPT").arg("LOAD").arg(script), redis::resend::if_lost);
  if (!loaded) co_return std::unexpected(std::move(loaded.error()));
  auto sha = loaded->view().as_text();
  if (!sha) co_return std::unexpected(std::move(sha.error()));
  co_return opened_server{
      .facts = std::move(*facts), .traits = *traits, .script_sha = std::string(*sha)};
}

}  // namespace millrace::engine_redis
