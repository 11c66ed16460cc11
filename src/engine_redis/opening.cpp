#include "opening.hpp"

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

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

namespace {

// Functions of other versions: whoever still needs one gives it to the server again.
// borrows: awaited in place
awaitable<void> forget_other_functions(redis::connection& link, const std::string& ours) {
  result<redis::reply> listed = co_await link.call(redis::command("FUNCTION")
                                                       .arg("LIST")
                                                       .arg("LIBRARYNAME")
                                                       .arg(std::string(function_prefix) + "*"),
                                                   redis::resend::if_lost);
  if (!listed) co_return;
  std::vector<std::string> others;
  for (const auto library : listed->view()) {
    bool is_name = false;
    for (const auto field : library) {
      const auto text = field.as_text();
      if (is_name && text && *text != ours) others.emplace_back(*text);
      is_name = text && *text == "library_name";
    }
  }
  for (const std::string& name : others) {
    static_cast<void>(co_await link.call(redis::command("FUNCTION").arg("DELETE").arg(name),
                                         redis::resend::if_lost));
  }
}

// borrows: awaited in place
awaitable<bool> load_function(redis::connection& link, const script_entry& what) {
  result<redis::reply> loaded = co_await link.call(load_command(what), redis::resend::if_lost);
  // Who may not load functions calls the script: it does the same, at a higher cost.
  if (!loaded || loaded->view().is_error()) co_return false;
  co_await forget_other_functions(link, what.name);
  co_return true;
}

}  // namespace

awaitable<result<opened_server>> prepare(redis::connection& link, options with) {
  result<void> ready = co_await link.ready();
  if (!ready) co_return std::unexpected(std::move(ready.error()));
  result<redis::server_facts> facts = co_await link.facts();
  if (!facts) co_return std::unexpected(std::move(facts.error()));
  result<engine::store_traits> traits = judge(*facts, with);
  if (!traits) co_return std::unexpected(std::move(traits.error()));
  script_entry script{.body = script_body(with.cache_bytes_max)};
  result<redis::reply> loaded = co_await link.call(load_command(script), redis::resend::if_lost);
  if (!loaded) co_return std::unexpected(std::move(loaded.error()));
  auto sha = loaded->view().as_text();
  if (!sha) co_return std::unexpected(std::move(sha.error()));
  script.name = *sha;
  if (redis::version_at_least(facts->version, 7, 0)) {
    script_entry function{.what = script_entry::kind::function,
                          .name = std::string(function_prefix) + script.name,
                          .body = script.body};
    const bool has_function = co_await load_function(link, function);
    if (has_function) script = std::move(function);
  }
  co_return opened_server{
      .facts = std::move(*facts), .traits = *traits, .script = std::move(script)};
}

}  // namespace millrace::engine_redis
