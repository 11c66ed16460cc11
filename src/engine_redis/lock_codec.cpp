#include "lock_codec.hpp"

#include "job_codec.hpp"

#include <utility>

namespace millrace::engine_redis {
namespace {

std::uint64_t natural(unpacker& in) { return static_cast<std::uint64_t>(in.integer()); }
std::uint32_t small(unpacker& in) { return static_cast<std::uint32_t>(in.integer()); }

// Of a lock that one holds and nobody waits for.
engine::lock_info unpack_plain(unpacker& in) {
  engine::lock_info out;
  out.key.project = in.text();
  out.key.resource = in.text();
  out.owner = in.text();
  out.fence = natural(in);
  out.acquired_at = unpack_time(in);
  out.expires_at = unpack_time(in);
  return out;
}

engine::lock_info unpack_lock(unpacker& in) {
  engine::lock_info out = unpack_plain(in);
  out.mode = static_cast<engine::lock_mode>(in.integer());
  out.holders = small(in);
  out.waiters = small(in);
  return out;
}

}  // namespace

void pack_step(packer& out, const engine::acquire_lock& step) {
  const bool plain = step.mode == engine::lock_mode::exclusive && step.queue == duration{0};
  out.add(plain ? 50 : 53).add(step.key.project).add(step.key.resource).add(step.token);
  out.add(step.ttl.count()).add(step.owner);
  if (plain) return;
  out.add(std::to_underlying(step.mode)).add(step.permits).add(step.queue.count());
}

void pack_step(packer& out, const engine::extend_lock& step) {
  out.add(51).add(step.key.project).add(step.key.resource).add(step.token).add(step.ttl.count());
}

void pack_step(packer& out, const engine::release_lock& step) {
  out.add(52).add(step.key.project).add(step.key.resource).add(step.token);
}

void pack_step(packer& out, const engine::pass_fence& step) {
  out.add(56).add(step.key.project).add(step.key.resource).add(step.fence);
}

void pack_query(packer& out, const engine::find_lock& what) {
  out.add(53).add(what.key.project).add(what.key.resource);
}

void pack_query(packer& out, const engine::list_lock_holders& what) {
  out.add(54).add(what.key.project).add(what.key.resource);
}

std::optional<engine::outcome> unpack_lock_outcome(std::string_view kind, unpacker& in) {
  if (kind == "k") {
    engine::lock_answer out{.granted = in.boolean()};
    out.lock = unpack_plain(in);
    return out;
  }
  if (kind == "kk") {
    engine::lock_answer out{.granted = in.boolean()};
    out.queued = in.boolean();
    out.ahead = small(in);
    out.lock = unpack_lock(in);
    return out;
  }
  if (kind == "kf") return engine::fence_passed{.before = natural(in)};
  return std::nullopt;
}

std::optional<engine::lock_info> unpack_answer(const engine::find_lock&, unpacker& in) {
  if (!in.boolean()) return std::nullopt;
  return unpack_lock(in);
}

std::vector<engine::lock_info> unpack_answer(const engine::list_lock_holders&, unpacker& in) {
  std::vector<engine::lock_info> out;
  for (std::int64_t left = in.integer(); left > 0 && !in.failed(); --left) {
    out.push_back(unpack_lock(in));
  }
  return out;
}

}  // namespace millrace::engine_redis
