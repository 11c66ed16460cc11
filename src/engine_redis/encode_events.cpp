#include "event_codec.hpp"

#include <millrace/engine/limits.hpp>
#include <millrace/engine/live_rules.hpp>

#include <algorithm>
#include <bit>
#include <utility>

namespace millrace::engine_redis {
namespace {

using engine::text_fields;

std::uint32_t page_size(std::uint32_t limit) {
  return std::clamp<std::uint32_t>(limit, 1, engine::page_items_max);
}

}  // namespace

void pack_step(packer& out, const engine::publish_event& step) {
  const engine::event& what = step.what;
  out.add(60).add(step.stream.project).add(step.stream.name).add(what.type);
  out.add_unless_empty(what.source).add_unless_empty(what.correlation_id);
  out.add_unless_empty(what.id).add(what.payload);
}

void pack_step(packer& out, const engine::configure_stream& step) {
  out.add(61).add(step.stream.project).add(step.stream.name).add(step.retention.count);
  out.add(step.retention.age.count()).add(step.retention.bytes);
}

void pack_step(packer& out, const engine::put_progress& step) {
  out.add(62).add(step.project).add(step.correlation_id).add(step.total_steps).add(step.step);
  out.add(step.message);
  if (step.status) {
    out.add(std::to_underlying(*step.status));
  } else {
    out.nil();
  }
  out.add(step.ttl.count());
}

void pack_step(packer& out, const engine::delete_progress& step) {
  out.add(63).add(step.project).add(step.correlation_id);
}

void pack_step(packer& out, const engine::put_agent& step) {
  const engine::agent_progress& what = step.what;
  out.add(64).add(step.project).add(step.flow_id).add(what.agent).add(step.ttl.count());
  // The bits of the number, so that it comes back as it was.
  out.add(text_fields()
              .add(std::bit_cast<std::int64_t>(what.progress))
              .add(what.status)
              .add(what.details)
              .take());
}

void pack_step(packer& out, const engine::put_connection& step) {
  const engine::live_connection& what = step.what;
  out.add(65).add(step.project).add(what.id).add(step.ttl.count());
  out.add(text_fields().add(what.flow_id).add(what.user).add(what.server).take());
}

void pack_step(packer& out, const engine::drop_connection& step) {
  out.add(66).add(step.project).add(step.connection);
}

void pack_query(packer& out, const engine::read_events& what) {
  out.add(60).add(what.stream.project).add(what.stream.name).add(std::to_underlying(what.way));
  out.add(page_size(what.limit));
  if (what.at) {
    out.add(to_micros(*what.at));
  } else {
    out.nil();
  }
  if (what.from) {
    out.add(what.from->epoch).add(what.from->offset).add(what.from->stamp);
  } else {
    out.nil().nil().nil();
  }
}

void pack_query(packer& out, const engine::find_stream& what) {
  out.add(61).add(what.stream.project).add(what.stream.name);
}

void pack_query(packer& out, const engine::find_progress& what) {
  out.add(62).add(what.project).add(what.correlation_id);
}

void pack_query(packer& out, const engine::list_agents& what) {
  out.add(63).add(what.project).add(what.flow_id);
}

void pack_query(packer& out, const engine::list_connections& what) {
  out.add(64).add(what.project);
  if (what.cursor.empty()) {
    out.nil();
  } else {
    out.add(std::string_view(what.cursor).substr(1));
  }
  // Which of them are wanted is seen when they are here.
  const bool all = !what.flow_id && !what.user;
  out.add(all ? page_size(what.limit) : static_cast<std::uint32_t>(engine::page_items_max));
}

}  // namespace millrace::engine_redis
