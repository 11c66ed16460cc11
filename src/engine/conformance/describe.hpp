#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/engine/store.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace millrace::conformance {

/// Tells what one engine answered in words that are the same for every engine that behaves the
/// same: ids and tokens, which differ, are numbered in the order in which they are first seen;
/// times count from the start. Two engines are then compared by comparing texts.
///
/// Left out: texts for people, durability, and what the port leaves open (`jobs_leased::next_at`,
/// which only bounds something). Versions and stamps are checked to grow instead.
class describer final {
public:
  explicit describer(timestamp start) : start_(start) {}

  [[nodiscard]] std::string text(const engine::commit_result& done);
  [[nodiscard]] std::string text(const result<engine::answer>& answer);

  /// A restart may give leases another end without a new version.
  void note_restart() { seen_.clear(); }

  /// Jobs and runs seen so far, oldest first; and those that are dead, and still run, as far as the
  /// answers have told.
  [[nodiscard]] const std::vector<engine::job_id>& jobs() const { return jobs_; }
  [[nodiscard]] const std::vector<engine::job_id>& dead() const { return dead_; }
  struct run {
    engine::job_id id;
    std::uint64_t token{0};
  };
  [[nodiscard]] const std::vector<run>& runs() const { return runs_; }
  [[nodiscard]] const std::vector<run>& open_runs() const { return open_runs_; }
  /// Versions and leases of the cache, oldest first.
  [[nodiscard]] const std::vector<std::uint64_t>& cache_versions() const { return cache_versions_; }
  [[nodiscard]] const std::vector<std::uint64_t>& cache_leases() const { return cache_leases_; }
  /// Permits of limits that were given, oldest first.
  [[nodiscard]] const std::vector<std::uint64_t>& permits() const { return permits_; }
  /// The recurring job as it was last answered; empty when there is none.
  [[nodiscard]] std::optional<engine::cron_entry> cron(const std::string& name) const;

  /// What the engine did that no engine may, whatever the model does; empty when nothing.
  [[nodiscard]] const std::string& offence() const { return offence_; }

private:
  std::string name_of(const engine::job_id& id);
  std::string name_of(std::uint64_t token);
  std::string at(timestamp when) const;
  std::string at(const std::optional<timestamp>& when) const;
  std::string text(const engine::job& job);
  std::string text(const engine::cron_entry& entry);
  std::string text(const engine::queue_info& info);
  std::string text(const engine::dead_stats& stats);
  std::string text(const engine::job_log_line& line) const;
  std::string text(const engine::outcome& outcome);
  // describe_cache.cpp
  std::string text(const engine::cache_entry& entry);
  std::string text(const engine::cache_stored& done);
  std::string text(const engine::cache_claimed& done);
  std::string text(const engine::read_cache::found& found);
  std::string text(const engine::read_cache_stats::numbers& numbers);
  void note_cache_stamp(std::uint64_t stamp, std::vector<std::uint64_t>& into);
  void note_permit(std::uint64_t permit);
  void note_status(const engine::job_id& id, engine::job_status status);
  void check_version(const engine::job& job, const std::string& seen_as);
  void offend(std::string what);

  struct last_seen {
    std::uint64_t version{0};
    std::string text;
  };

  timestamp start_;
  std::vector<engine::job_id> jobs_;
  std::map<engine::job_id, std::size_t> job_numbers_;
  std::map<std::uint64_t, std::size_t> token_numbers_;
  std::map<engine::job_id, std::uint64_t> last_tokens_;
  std::map<engine::job_id, last_seen> seen_;
  std::vector<engine::job_id> dead_;
  std::vector<run> runs_;
  std::vector<run> open_runs_;
  std::map<std::string, engine::cron_entry> crons_;
  std::vector<std::uint64_t> cache_versions_;
  std::vector<std::uint64_t> cache_leases_;
  std::uint64_t last_cache_stamp_{0};
  std::vector<std::uint64_t> permits_;
  std::string offence_;
};

}  // namespace millrace::conformance
