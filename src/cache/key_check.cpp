#include <millrace/cache/key_check.hpp>

#include <millrace/engine/async.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>
#include <utility>

namespace millrace::cache {

namespace {

constexpr const char* check_key_name = "encryption-key";
// Long enough that a server is started before; it is written again at every start.
constexpr auto kept_for = engine::cache_ttl_max;

std::string text_of(std::uint64_t id) { return fmt::format("{:016x}", id); }

}  // namespace

result<void> check_keys(engine::store& store, const secrets::key_ring& ring) {
  auto found = engine::blocking::ask(
      store, engine::read_cache{.project = key_check_project, .keys = {check_key_name}});
  if (!found) return std::unexpected(std::move(found.error()));
  if (const auto& entry = found->entries.front()) {
    std::uint64_t id = 0;
    const char* const end = entry->value.data() + entry->value.size();
    const auto [stopped, wrong] = std::from_chars(entry->value.data(), end, id, 16);
    const bool read = wrong == std::errc{} && stopped == end;
    if (!read || !ring.has(id)) {
      return fail(errc::precondition_failed, "wrong_encryption_key",
                  fmt::format("what is in the store was encrypted with key {}, which is none of "
                              "those given; add it after the newest, or, if it is lost, clear the "
                              "cache and end the sessions with a server that has no keys",
                              entry->value.substr(0, 16)),
                  "encryption");
    }
  }
  engine::put_cache note{.at = {.project = key_check_project, .key = check_key_name},
                         .value = text_of(ring.newest()),
                         .content_type = "text/plain",
                         .ttl = kept_for};
  engine::transaction one{.level = store.traits().strongest};
  one.steps.emplace_back(std::move(note));
  auto done = engine::blocking::commit(store, std::move(one));
  if (!done) return std::unexpected(std::move(done.error().why));
  return {};
}

}  // namespace millrace::cache
