#pragma once

#include "correlation_index.hpp"
#include "sqlite.hpp"

#include <millrace/engine/event_steps.hpp>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace millrace::embedded {

/// What is in memory of one stream; its events are rows.
struct stream_state {
  engine::stream_info info;
  std::int64_t row{0};
  /// The retention is its own.
  bool own{false};
  /// The stamp of the event before the first.
  std::uint64_t before{0};
  /// No event that is kept is older.
  timestamp first_at{};
  bool changed{false};
  /// As it stands among those that have something to forget.
  std::optional<timestamp> listed;
};

/// The streams: their events, and the ids that publishers gave them.
///
/// Threading: the writer's. Errors: stick to the database.
class event_log final {
public:
  /// `carried`: is told which events go.
  event_log(database& db, correlation_index& carried);

  /// Builds memory anew from the disk.
  void load();

  [[nodiscard]] stream_state* find(const engine::stream_key& key);
  [[nodiscard]] std::size_t streams() const noexcept { return streams_.size(); }
  stream_state& open(const engine::stream_key& key, std::uint64_t epoch);
  void configure(stream_state& stream, const engine::event_retention& kept);

  /// Where an event of this id stands, if the stream has seen it lately.
  [[nodiscard]] std::optional<engine::event_published> known(const engine::stream_key& key,
                                                             const std::string& id, timestamp now);
  [[nodiscard]] std::size_t ids() const noexcept { return ids_.size(); }
  engine::event_published publish(stream_state& stream, engine::event what, std::uint64_t stamp,
                                  timestamp now);

  [[nodiscard]] engine::read_events::page read(const engine::read_events& what);
  /// Empty where it is not kept.
  [[nodiscard]] std::optional<engine::event> event_at(const stream_state& stream,
                                                      std::uint64_t offset);

  /// Where an event stands among the rows, and of which stream such a row is.
  [[nodiscard]] static std::int64_t row_of(const stream_state& stream, std::uint64_t offset);
  [[nodiscard]] const stream_state* stream_of_row(std::int64_t row) const;
  [[nodiscard]] std::optional<engine::event> event_of_row(const stream_state& stream,
                                                          std::int64_t row);

  /// When something is too old.
  [[nodiscard]] std::optional<timestamp> next_event() const;
  /// Forgets what is, a bounded amount of it. Requires: a group has begun.
  void forget(timestamp now);
  /// Writes down what changed of the streams themselves.
  void flush();

private:
  struct place {
    std::uint64_t stamp{0};
    timestamp at{};
    std::uint64_t bytes{0};
  };
  [[nodiscard]] place place_of(const stream_state& stream, std::uint64_t offset);
  void drop_first(stream_state& stream);
  void trim(stream_state& stream);
  void relist(stream_state& stream);
  void change(stream_state& stream);
  void forget_stream(stream_state& stream);
  /// The first offset at which `passed` holds; it holds from there to the end.
  template <class Passed>
  [[nodiscard]] std::uint64_t first_where(const stream_state& stream, Passed passed);
  [[nodiscard]] engine::gap_reason gap_at(const stream_state* stream,
                                          const engine::event_cursor& from);
  [[nodiscard]] std::uint64_t begin_of(const stream_state& stream, const engine::read_events& what,
                                       engine::gap_reason gap);
  [[nodiscard]] std::uint64_t end_of(const stream_state& stream, const engine::read_events& what,
                                     engine::gap_reason gap);
  void take_events(statement& from, std::uint64_t low, std::uint64_t high,
                   const stream_state& stream, std::uint32_t limit,
                   engine::read_events::page& into);

  struct kept_id {
    std::uint64_t stamp{0};
    timestamp at{};
  };

  database& db_;
  correlation_index& carried_;
  statement write_stream_;
  statement delete_stream_;
  statement insert_event_;
  statement delete_event_;
  statement read_place_;
  statement read_from_;
  statement read_back_;
  statement insert_id_;
  statement find_id_;
  statement delete_id_;

  std::map<engine::stream_key, std::unique_ptr<stream_state>> streams_;
  std::unordered_map<std::int64_t, const stream_state*> by_row_;
  std::vector<stream_state*> changed_;
  /// By the moment at which the first event is looked at for its age.
  std::set<std::pair<timestamp, stream_state*>> forgetting_;
  /// Ids of rows that nobody has; the next one where there is none.
  std::vector<std::int64_t> free_rows_;
  std::int64_t next_row_{1};
  std::deque<kept_id> ids_;
};

}  // namespace millrace::embedded
