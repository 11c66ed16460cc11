#include "lock_row.hpp"

#include <millrace/engine/live_rules.hpp>

#include <string>
#include <utility>

namespace millrace::embedded {
namespace {

using engine::text_field_reader;
using engine::text_fields;

bool is_plain(const engine::lock_state& state) {
  return state.waiters.empty() && state.holders.size() == 1 &&
         state.holders.front().mode == engine::lock_mode::exclusive;
}

std::string to_text(const engine::lock_state& state) {
  text_fields out;
  out.add("").add(std::ssize(state.holders));
  for (const engine::lock_holder& each : state.holders) {
    out.add(each.token).add(each.owner).add(std::int64_t{std::to_underlying(each.mode)});
    out.add(static_cast<std::int64_t>(each.fence)).add(to_micros(each.acquired_at));
    out.add(to_micros(each.expires_at));
  }
  for (const engine::lock_waiter& each : state.waiters) {
    out.add(each.token).add(std::int64_t{std::to_underlying(each.mode)});
    out.add(std::int64_t{each.permits}).add(to_micros(each.until));
    out.add(std::int64_t{each.turn});
  }
  return out.take();
}

engine::lock_holder read_holder(text_field_reader& in) {
  engine::lock_holder out;
  out.token = in.text();
  out.owner = in.text();
  out.mode = static_cast<engine::lock_mode>(in.number() & 1);
  out.fence = static_cast<std::uint64_t>(in.number());
  out.acquired_at = from_micros(in.number());
  out.expires_at = from_micros(in.number());
  return out;
}

engine::lock_waiter read_waiter(text_field_reader& in) {
  engine::lock_waiter out;
  out.token = in.text();
  out.mode = static_cast<engine::lock_mode>(in.number() & 1);
  out.permits = static_cast<std::uint32_t>(in.number());
  out.until = from_micros(in.number());
  out.turn = static_cast<std::uint32_t>(in.number());
  return out;
}

}  // namespace

live_key lock_row_key(const engine::lock_key& key) {
  return {.kind = live_kind::lock, .project = key.project, .flow = {}, .name = key.resource};
}

live_row to_row(const engine::lock_state& state, timestamp now) {
  live_row out{.made_at = now, .updated_at = now, .expires_at = state.next_end()};
  if (!state.holders.empty()) {
    out.made_at = state.holders.front().acquired_at;
    out.version = state.holders.front().fence;
  }
  if (is_plain(state)) {
    const engine::lock_holder& only = state.holders.front();
    out.value = text_fields().add(only.token).add(only.owner).take();
  } else {
    out.value = to_text(state);
  }
  return out;
}

bool read_row(const live_row& row, engine::lock_state& into) {
  text_field_reader in(row.value);
  const std::string_view token = in.text();
  if (!token.empty()) {
    into.holders.push_back({.token = std::string(token),
                            .owner = std::string(in.text()),
                            .mode = engine::lock_mode::exclusive,
                            .fence = row.version,
                            .acquired_at = row.made_at,
                            .expires_at = row.expires_at});
    return !in.failed();
  }
  for (std::int64_t left = in.number(); left > 0 && !in.failed(); --left) {
    into.holders.push_back(read_holder(in));
  }
  while (!in.failed() && !in.at_end()) into.waiters.push_back(read_waiter(in));
  return !in.failed();
}

}  // namespace millrace::embedded
