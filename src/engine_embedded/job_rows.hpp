#pragma once

#include "sqlite.hpp"

#include <millrace/engine/job.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace millrace::embedded {

/// A job as its rows say it: at rest. What the lease of a running one adds is in memory.
/// `what.id.tag` and `what.queue` are left empty: the queue's row is named instead.
struct stored_job {
  engine::job what;
  std::int64_t queue_row{0};
  /// There is a row in `job_state`.
  bool has_state{false};
  std::uint32_t log_lines{0};
  /// Orders it among jobs of the same `run_at`, where that is not the id.
  std::optional<std::uint64_t> ready;
  std::string fingerprint;
};

/// The tables `job`, `job_state` and `job_log`.
///
/// Errors: as of `database`: they stick there. A text that does not decode counts as damage.
class job_rows final {
public:
  explicit job_rows(database& in);

  void insert(const engine::job& what, std::int64_t queue_row);
  [[nodiscard]] std::optional<stored_job> read(std::uint64_t id);
  void write_state(const stored_job& what);
  /// The state of a job whose first run succeeded, with nothing to be kept from before.
  void insert_completed(std::uint64_t id, std::uint32_t attempts, std::uint64_t token,
                        std::uint64_t version, timestamp started_at, timestamp finished_at,
                        std::string_view result);
  /// Type, labels and data.
  void renew(const engine::job& what);
  void drop_unique(std::uint64_t id);
  void remove(std::uint64_t id, bool with_log);

  void add_log(std::uint64_t id, const engine::job_log_line& line);
  void trim_log(std::uint64_t id, std::uint32_t oldest);
  [[nodiscard]] std::vector<engine::job_log_line> read_log(std::uint64_t id, std::uint64_t after);
  [[nodiscard]] bool any_log();

  struct id_and_queue {
    std::uint64_t id{0};
    std::int64_t queue_row{0};
  };
  /// The greatest ids below a bound, descending.
  [[nodiscard]] std::vector<id_and_queue> ids_below(std::uint64_t bound, std::size_t limit);

private:
  [[nodiscard]] result<stored_job> decode(std::uint64_t id);

  database& in_;
  statement insert_;
  statement read_;
  statement write_state_;
  statement insert_completed_;
  statement renew_;
  statement drop_unique_;
  statement delete_job_;
  statement delete_state_;
  statement delete_log_;
  statement insert_log_;
  statement trim_log_;
  statement read_log_;
  statement any_log_;
  statement ids_below_;
};

}  // namespace millrace::embedded
