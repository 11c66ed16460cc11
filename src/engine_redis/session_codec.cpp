#include "session_codec.hpp"

#include "job_codec.hpp"

#include <millrace/engine/limits.hpp>
#include <millrace/engine/session_rules.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace millrace::engine_redis {
namespace {

std::uint64_t natural(unpacker& in) { return static_cast<std::uint64_t>(in.integer()); }

std::string packed(const engine::session_fields& fields) {
  packer out;
  out.add(fields.size());
  for (const auto& [name, json] : fields) out.add(name).add(json);
  return out.take();
}

std::string packed(const std::vector<engine::session_change>& changes) {
  packer out;
  out.add(changes.size());
  for (const engine::session_change& each : changes) out.add(each.name).add(each.json);
  return out.take();
}

engine::session_info unpack_session(unpacker& in) {
  engine::session_info out;
  out.key.project = in.text();
  out.key.hash = in.text();
  out.ref = natural(in);
  out.user = in.text();
  out.label = in.text();
  out.rules.idle = duration(in.integer());
  out.rules.absolute = duration(in.integer());
  out.rules.touch_every = duration(in.integer());
  out.times.created_at = unpack_time(in);
  out.times.touched_at = unpack_time(in);
  out.times.expires_at = unpack_time(in);
  out.version = natural(in);
  out.former = in.boolean();
  // The hash of its other id.
  static_cast<void>(in.text());
  for (std::int64_t left = in.integer(); left > 0 && !in.failed(); --left) {
    std::string name(in.text());
    out.fields.insert_or_assign(std::move(name), std::string(in.text()));
  }
  return out;
}

}  // namespace

void pack_step(packer& out, const engine::create_session& step) {
  out.add(80).add(step.key.project).add(step.key.hash).add(step.user).add(step.label);
  out.add(step.rules.idle.count()).add(step.rules.absolute.count());
  out.add(step.rules.touch_every.count()).add(step.at_most);
  out.add(std::to_underlying(step.beyond)).add(packed(step.fields));
}

void pack_step(packer& out, const engine::touch_session& step) {
  out.add(81).add(step.key.project).add(step.key.hash);
}

void pack_step(packer& out, const engine::change_session& step) {
  out.add(82).add(step.key.project).add(step.key.hash).add(step.replace).add(step.if_version);
  out.add(packed(step.changes));
}

void pack_step(packer& out, const engine::rotate_session& step) {
  out.add(83).add(step.key.project).add(step.key.hash).add(step.to).add(step.grace.count());
  out.add(step.user).add(step.if_version).add(step.at_most);
  out.add(std::to_underlying(step.beyond)).add(packed(step.changes));
}

void pack_step(packer& out, const engine::end_session& step) {
  out.add(84).add(step.key.project).add(step.key.hash);
}

void pack_step(packer& out, const engine::end_user_sessions& step) {
  out.add(85).add(step.project).add(step.user).add(step.only).add(step.except);
}

void pack_query(packer& out, const engine::find_session& what) {
  out.add(80).add(what.key.project).add(what.key.hash);
}

void pack_query(packer& out, const engine::list_sessions& what) {
  // One that is none was refused before (`check_query`).
  out.add(81).add(what.project).add(what.user);
  out.add(engine::parse_session_cursor(what.cursor).value_or(0));
  out.add(std::clamp<std::uint32_t>(what.limit, 1, engine::page_items_max));
  out.add(what.newest_first);
}

std::optional<engine::outcome> unpack_session_outcome(std::string_view kind, unpacker& in) {
  if (kind == "ss") {
    engine::session_changed out;
    out.ended = static_cast<std::uint32_t>(in.integer());
    out.session = unpack_session(in);
    return out;
  }
  if (kind == "se") {
    return engine::sessions_ended{.count = static_cast<std::uint32_t>(in.integer())};
  }
  return std::nullopt;
}

std::optional<engine::session_info> unpack_answer(const engine::find_session&, unpacker& in) {
  if (!in.boolean()) return std::nullopt;
  return unpack_session(in);
}

engine::session_page unpack_answer(const engine::list_sessions&, unpacker& in) {
  engine::session_page out;
  const bool more = in.boolean();
  out.count = natural(in);
  for (std::int64_t left = in.integer(); left > 0 && !in.failed(); --left) {
    out.items.push_back(unpack_session(in));
    out.items.back().key.hash.clear();
  }
  if (more && !out.items.empty()) out.cursor = engine::session_cursor(out.items.back().ref);
  return out;
}

}  // namespace millrace::engine_redis
