#include "correlation_codec.hpp"

#include "event_codec.hpp"
#include "job_codec.hpp"

#include <millrace/engine/limits.hpp>

#include <algorithm>
#include <string>

namespace millrace::engine_redis {

void pack_query(packer& out, const engine::list_correlated& what) {
  out.add(68).add(what.project).add(what.correlation_id);
  out.add(std::clamp<std::uint32_t>(what.limit, 1, engine::page_items_max));
  // Cursors that are none are refused before.
  out.add(engine::stamp_bound(what).value_or(0));
  if (const auto itself = engine::job_id::parse(what.correlation_id)) {
    out.add(itself->tag).add(itself->stamp);
  } else {
    out.nil().nil();
  }
}

engine::list_correlated::page unpack_answer(const engine::list_correlated&, unpacker& in) {
  engine::list_correlated::page out;
  out.complete = in.boolean();
  if (const auto last = in.maybe_integer()) {
    out.cursor = engine::cursor_below(static_cast<std::uint64_t>(*last));
  }
  for (std::int64_t left = in.integer(); left > 0 && !in.failed(); --left) {
    if (in.boolean()) {
      out.jobs.push_back(unpack_job(in));
      continue;
    }
    engine::correlated_event& one = out.events.emplace_back();
    one.stream.project = in.text();
    one.stream.name = in.text();
    one.epoch = static_cast<std::uint64_t>(in.integer());
    one.what = unpack_event(in);
  }
  return out;
}

}  // namespace millrace::engine_redis
