#include "limit_codec.hpp"

#include "job_codec.hpp"

#include <millrace/engine/limits.hpp>

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>

namespace millrace::engine_redis {

using engine::limit_algorithm;

std::array<std::int64_t, 3> limit_numbers(const engine::limit_check& what) {
  const std::int64_t window = what.window.count();
  switch (what.algorithm) {
    case limit_algorithm::sliding: {
      const bool exact = what.limit <= engine::exact_sliding_max;
      return {window, exact ? 0 : (window + engine::sliding_parts - 1) / engine::sliding_parts, 0};
    }
    case limit_algorithm::fixed: return {window, 0, 0};
    case limit_algorithm::token_bucket: {
      const engine::bucket_rate rate = engine::bucket_rate_of(what).value_or(engine::bucket_rate{});
      return {rate.unit, rate.drain, rate.capacity};
    }
    case limit_algorithm::calendar:
      return {to_micros(what.period_start), to_micros(what.period_end), 0};
    case limit_algorithm::concurrency: return {window, 0, 0};
  }
  return {};
}

std::string limit_key(const std::string& project, const engine::limit_check& what) {
  const bool calendar = what.algorithm == limit_algorithm::calendar;
  std::string key = calendar ? "tokens:" : "rate_limit:";
  key.append(project).append(1, ':').append(engine::limit_name(what));
  return key;
}

void pack_limit(packer& out, const std::string& project, const engine::limit_check& what) {
  const bool penalty = what.penalty.after > 0;
  out.array(penalty ? 11 : 8).add(std::to_underlying(what.algorithm));
  out.add(limit_key(project, what)).add(engine::size_of(what));
  out.add(what.cost).add(what.dry_run);
  for (const std::int64_t number : limit_numbers(what)) out.add(number);
  if (!penalty) return;
  const bool calendar = what.algorithm == limit_algorithm::calendar;
  out.add(what.penalty.after)
      .add(what.penalty.length.count())
      .add(calendar ? 0 : what.window.count());
}

void pack_block(packer& out, const engine::block_limit& step) {
  std::string key = "rate_limit:";
  key.append(step.project).append(1, ':').append(step.scope).append(1, ':').append(step.whose);
  out.add(key.append(":block")).add(step.length.count());
}

void pack_query(packer& out, const engine::list_limit_blocks& what) {
  out.add(46).add(what.project).add(what.scope);
  const auto after = engine::parse_block_cursor(what.cursor);
  std::string name = after && *after ? (*after)->scope + '\0' + (*after)->id : std::string();
  // What comes before all of a scope is no bound.
  if (name < what.scope + '\0') name.clear();
  out.add(name).add(std::clamp<std::uint32_t>(what.limit, 1, engine::page_items_max));
}

engine::limit_block_page unpack_answer(const engine::list_limit_blocks&, unpacker& in) {
  engine::limit_block_page out;
  const auto read = [&in] {
    const std::string_view name = in.text();
    const std::size_t zero = std::min(name.find('\0'), name.size());
    return engine::blocked_id{.scope = std::string(name.substr(0, zero)),
                              .id = std::string(name.substr(std::min(zero + 1, name.size())))};
  };
  if (!in.nil()) out.cursor = engine::block_cursor(read());
  for (std::int64_t left = in.integer(); left > 0 && !in.failed(); --left) {
    out.items.push_back(read());
    out.items.back().until = unpack_time(in);
  }
  return out;
}

engine::limits_checked unpack_limits(unpacker& in) {
  engine::limits_checked out{.allowed = in.boolean()};
  out.granted = static_cast<std::uint64_t>(in.integer());
  out.at = unpack_time(in);
  out.permit = static_cast<std::uint64_t>(in.integer());
  for (std::int64_t left = in.integer(); left > 0 && !in.failed(); --left) {
    engine::limit_state& state = out.limits.emplace_back();
    state.count = static_cast<std::uint64_t>(in.integer());
    state.limit = static_cast<std::uint64_t>(in.integer());
    state.remaining = static_cast<std::uint64_t>(in.integer());
    state.window_start = unpack_time(in);
    state.reset_time = unpack_time(in);
    state.allowed = in.boolean();
    state.retry_after = duration{in.integer()};
    state.blocked_until = unpack_time(in);
  }
  return out;
}

}  // namespace millrace::engine_redis
