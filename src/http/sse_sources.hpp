#pragma once

#include "sse_batch.hpp"

#include <millrace/base/awaitable.hpp>
#include <millrace/engine/progress_steps.hpp>
#include <millrace/engine/store.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

/// What can be followed, and how the store is read for it.
namespace millrace::http {

/// One thing to follow. `read` gives what is behind a place: a batch that ends at the newest place
/// unless it says `more`; empty where there is nothing new; null where the store cannot serve now.
/// `limit` bounds the events of one look.
struct stream_source {
  engine::topic topic;
  std::function<awaitable<batch_ptr>(stream_place from, std::uint32_t limit)> read;
  /// Changes that follow each other faster are told together; the first at once, and the last
  /// always.
  std::chrono::milliseconds pace{0};
};

/// Events of one look; with their bytes (`batch_bytes_max`) what one client may be sent at once.
inline constexpr std::uint32_t events_at_once = 500;

/// The events of a stream.
[[nodiscard]] stream_source events_of(engine::store& store, engine::stream_key stream);
/// The state of a job, its progress and its log.
[[nodiscard]] stream_source job_changes(engine::store& store, engine::job_id id);
/// The progress of a correlation id.
[[nodiscard]] stream_source progress_changes(engine::store& store, engine::find_progress which);
/// The agents of a flow.
[[nodiscard]] stream_source agent_changes(engine::store& store, engine::list_agents which);

// What these read, as batches.
[[nodiscard]] event_batch batch_of(const engine::stream_key& stream, stream_place from,
                                   const engine::read_events::page& page);
[[nodiscard]] event_batch batch_of(stream_place from,
                                   const std::optional<engine::progress_entry>& entry);
[[nodiscard]] event_batch batch_of(stream_place from, std::vector<engine::agent_progress> agents);

}  // namespace millrace::http
