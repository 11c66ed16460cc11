#include "cache_codec.hpp"

#include "job_codec.hpp"

#include <utility>

namespace millrace::engine_redis {
namespace {

packer& begin(packer& out, int number, const engine::cache_key& at) {
  return out.add(number).add(at.project).add(at.key);
}

engine::cache_claimed unpack_claimed(unpacker& in) {
  engine::cache_claimed out{.state = static_cast<engine::claim_state>(in.integer())};
  out.lease = static_cast<std::uint64_t>(in.integer());
  out.until = unpack_time(in);
  out.now = unpack_time(in);
  const bool stale = in.boolean();
  if (in.nil()) return out;
  unpacker entry(in.text());
  out.found = unpack_cache_entry(entry, timestamp{});
  out.found->stale = stale;
  if (entry.failed()) in.fail();
  return out;
}

}  // namespace

void pack_cache_step(packer& out, const engine::put_cache& step) {
  begin(out, 20, step.at).add(step.ttl.count()).add(step.stale_for.count());
  out.add(std::to_underlying(step.expects)).add(step.version).add(step.lease);
  out.add(engine::cache_entry_bytes(step)).add(step.content_type).array(step.tags.size());
  for (const std::string& tag : step.tags) out.add(tag);
  out.add(step.value);
}

void pack_cache_step(packer& out, const engine::claim_cache& step) {
  begin(out, 21, step.at).add(step.lease.count());
}

void pack_cache_step(packer& out, const engine::renew_claim& step) {
  begin(out, 22, step.at).add(step.lease).add(step.length.count());
}

void pack_cache_step(packer& out, const engine::release_claim& step) {
  begin(out, 23, step.at).add(step.lease);
}

void pack_cache_step(packer& out, const engine::delete_cache& step) {
  begin(out, 24, step.at).add(step.version);
}

void pack_cache_step(packer& out, const engine::invalidate_tag& step) {
  out.add(25).add(step.project).add(step.tag);
}

void pack_cache_step(packer& out, const engine::delete_matching& step) {
  out.add(26).add(step.project).add(step.pattern).add(step.cursor);
}

void pack_cache_step(packer& out, const engine::clear_cache& step) {
  out.add(27).add(step.project).add(step.max);
}

std::optional<engine::outcome> unpack_cache_outcome(std::string_view kind, unpacker& in) {
  if (kind == "ks") {
    engine::cache_stored out{.version = static_cast<std::uint64_t>(in.integer())};
    out.created_at = unpack_time(in);
    out.expires_at = unpack_time(in);
    for (std::size_t left = in.array(); left > 0 && !in.failed(); --left) {
      out.evicted.emplace_back(in.text());
    }
    return out;
  }
  if (kind == "kc") return unpack_claimed(in);
  if (kind != "kd") return std::nullopt;
  engine::cache_dropped out{.count = static_cast<std::uint64_t>(in.integer())};
  out.cursor = in.text();
  return out;
}

engine::list_cache::rows unpack_cache_rows(unpacker& in) {
  engine::list_cache::rows out;
  std::int64_t left = in.integer();
  const std::string_view cursor = in.text();
  if (!cursor.empty()) out.cursor.append(1, '@').append(cursor);
  for (; left > 0 && !in.failed(); --left) {
    engine::list_cache::row& row = out.items.emplace_back();
    row.key = in.text();
    row.bytes = static_cast<std::uint64_t>(in.integer());
  }
  return out;
}

engine::read_cache_stats::numbers unpack_cache_numbers(unpacker& in) {
  engine::read_cache_stats::numbers out;
  for (std::uint64_t* number :
       {&out.entries, &out.bytes, &out.claims, &out.evicted, &out.expired}) {
    *number = static_cast<std::uint64_t>(in.integer());
  }
  return out;
}

std::string pack_cache_read(const engine::read_cache& what, const std::optional<timestamp>& now) {
  packer out;
  if (now) {
    out.add(to_micros(*now));
  } else {
    out.nil();
  }
  out.add(what.project).add(what.stale).add(what.bare);
  return out.take();
}

engine::cache_entry unpack_cache_entry(unpacker& in, timestamp now) {
  engine::cache_entry out;
  out.version = static_cast<std::uint64_t>(in.integer());
  out.created_at = unpack_time(in);
  out.expires_at = unpack_time(in);
  out.stale_until = unpack_time(in);
  static_cast<void>(in.integer());
  out.content_type = in.text();
  for (std::size_t left = in.array(); left > 0 && !in.failed(); --left) {
    out.tags.emplace_back(in.text());
  }
  out.value = in.rest();
  out.stale = now >= out.expires_at;
  return out;
}

}  // namespace millrace::engine_redis
