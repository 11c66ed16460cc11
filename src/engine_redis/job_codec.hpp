#pragma once

#include "packing.hpp"

#include <millrace/engine/job.hpp>

#include <cstdint>
#include <string>
#include <string_view>

/// Jobs and what makes them, as the scripts keep them: lua/jobs.lua says what stands where.
namespace millrace::engine_redis {

/// What an enqueue leaves to the queue it goes to.
struct left_to_queue {
  bool attempts{false};
  bool backoff{false};
  bool level{false};
};

/// The values of an `enqueue_job` step behind its number. `queue`: that of the call.
void pack_spec(packer& out, std::size_t queue, const engine::job_spec& spec,
               engine::durability level, left_to_queue left);

/// What `pack_spec` has written; the queue and the level are passed over.
[[nodiscard]] engine::job_spec unpack_spec(unpacker& in, left_to_queue& left);

/// Empty for the default.
[[nodiscard]] std::string pack_backoff(const backoff_spec& spec);
void unpack_backoff(std::string_view packed, backoff_spec& into);

/// The record of a job that is ready at once and has no unique key, from the status on: what stands
/// before it the script knows.
[[nodiscard]] std::string pack_record(const engine::job_spec& spec, engine::durability level);

/// A whole record; false: it is none. Requires: `into` has its id.
bool unpack_record(std::string_view packed, engine::job& into);

/// What a run changes when it begins: a record need not say it.
struct begun_run {
  std::uint64_t token{0};
  std::uint32_t attempts{0};
  std::string_view worker;
  timestamp started_at{};
  timestamp leased_until{};
};
void note_run(const begun_run& what, engine::job& into);

/// A job from the five values with which an answer names it. One that is gone has only its id.
[[nodiscard]] engine::job unpack_job(unpacker& in);

[[nodiscard]] std::string settings_to_json(const engine::queue_settings& settings);
[[nodiscard]] engine::queue_settings settings_from_json(std::string_view text, bool& failed);

[[nodiscard]] inline timestamp unpack_time(unpacker& in) { return from_micros(in.integer()); }
[[nodiscard]] inline std::optional<timestamp> maybe_time(unpacker& in) {
  return in.nil() ? std::nullopt : std::optional(unpack_time(in));
}

}  // namespace millrace::engine_redis
