#include "hot_locks.hpp"

#include "call_codec.hpp"
#include "lock_codec.hpp"

#include <algorithm>
#include <utility>
#include <variant>

namespace millrace::engine_redis {
namespace {

using engine::acquire_lock;
using engine::extend_lock;
using engine::release_lock;

// The numbers of lua/hot_locks.lua.
constexpr int kind_locks = 4;
constexpr int kind_acquire = 1;
constexpr int kind_extend = 2;
constexpr int kind_release = 3;
constexpr std::int64_t is_new = 1;

constexpr std::int64_t is_outcome = 3;

const engine::lock_key& key_of(const engine::step& what) {
  if (const auto* const acquire = std::get_if<acquire_lock>(&what)) return acquire->key;
  if (const auto* const extend = std::get_if<extend_lock>(&what)) return extend->key;
  return std::get<release_lock>(what).key;
}

// Nobody stands in the queue for it, and nobody else holds it then.
bool is_plain(const acquire_lock& step) {
  return step.mode == engine::lock_mode::exclusive && step.queue == duration{0};
}

}  // namespace

bool is_hot_lock(const engine::transaction& what) {
  if (what.idempotency || what.steps.size() != 1) return false;
  const engine::step& one = what.steps.front();
  if (const auto* const acquire = std::get_if<acquire_lock>(&one)) return is_plain(*acquire);
  return std::holds_alternative<extend_lock>(one) || std::holds_alternative<release_lock>(one);
}

void lock_encoder::head(int what, const engine::lock_key& key, std::string_view token) {
  name_.assign(key.project).append(1, '\0').append(key.resource);
  const auto [at, added] = numbers_.try_emplace(name_, numbers_.size() + 1);
  if (added) put_text(names_, at->first, 2);
  put_number(body_, what, 1);
  put_number(body_, static_cast<std::int64_t>(at->second), 2);
  put_text(body_, packed(token), 1);
}

void lock_encoder::add(const engine::transaction& what) {
  ++count_;
  const engine::step& one = what.steps.front();
  if (const auto* const acquire = std::get_if<acquire_lock>(&one)) {
    head(kind_acquire, acquire->key, acquire->token);
    put_number(body_, acquire->ttl.count(), 7);
    put_text(body_, packed(acquire->owner), 2);
  } else if (const auto* const extend = std::get_if<extend_lock>(&one)) {
    head(kind_extend, extend->key, extend->token);
    put_number(body_, extend->ttl.count(), 7);
  } else {
    const auto& release = std::get<release_lock>(one);
    head(kind_release, release.key, release.token);
  }
}

std::string lock_encoder::take() {
  std::string out;
  out.reserve(5 + bytes());
  put_number(out, kind_locks, 1);
  put_number(out, static_cast<std::int64_t>(numbers_.size()), 2);
  put_number(out, static_cast<std::int64_t>(count_), 2);
  out.append(names_).append(body_);
  numbers_.clear();
  names_.clear();
  body_.clear();
  count_ = 0;
  return out;
}

std::optional<engine::outcome> lock_decoder::outcome_of(const engine::step& step) {
  const std::int64_t what = in_.number(1);
  if (what == is_outcome) {
    unpacker outcome(in_.counted(2));
    return unpack_lock_outcome(outcome.text(), outcome);
  }
  engine::lock_answer out{.granted = true};
  out.lock.key = key_of(step);
  if (what != is_new) {
    out.granted = in_.number(1) == 1;
    fields record(in_.counted(2));
    out.lock.acquired_at = from_micros(record.number(7));
    static_cast<void>(record.number(7));
    out.lock.expires_at = from_micros(record.number(7));
    out.lock.fence = static_cast<std::uint64_t>(record.number(7));
    unpacker value(record.rest());
    static_cast<void>(value.text());
    out.lock.owner = value.text();
    if (record.failed() || value.failed()) return std::nullopt;
    return out;
  }
  const auto* const acquire = std::get_if<acquire_lock>(&step);
  if (acquire == nullptr) return std::nullopt;
  out.lock.owner = acquire->owner;
  out.lock.fence = static_cast<std::uint64_t>(in_.number(7));
  out.lock.acquired_at = now_;
  out.lock.expires_at = now_ + acquire->ttl;
  return out;
}

engine::commit_result lock_decoder::next(const engine::transaction& asked) {
  if (in_.number(1) != 0) {
    error why = refused_as(in_.counted(1));
    const auto at = static_cast<std::size_t>(in_.number(2));
    if (in_.failed()) return std::unexpected(engine::refusal{bad_answer(), 0});
    return std::unexpected(engine::refusal{std::move(why), at});
  }
  std::optional<engine::outcome> out = outcome_of(asked.steps.front());
  if (!out || in_.failed()) return std::unexpected(engine::refusal{bad_answer(), 0});
  engine::committed done{.level = std::min(asked.level, strongest_)};
  done.outcomes.push_back(std::move(*out));
  return done;
}

}  // namespace millrace::engine_redis
