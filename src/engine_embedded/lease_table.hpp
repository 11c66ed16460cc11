#pragma once

#include "lease_journal.hpp"
#include "live_jobs.hpp"

#include <millrace/base/clock.hpp>

#include <boost/unordered/unordered_flat_map.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <string>
#include <utility>
#include <vector>

namespace millrace::embedded {

struct lease {
  std::uint64_t token{0};
  timestamp until{};
  /// What it was granted for, before the job's timeout cut it.
  duration length{0};
  timestamp started_at{};
  /// The job's; zero: no bound.
  duration timeout{0};
  std::string worker;
  std::uint32_t journal_slot{0};

  /// The end of a lease that lasts `span` from `now` on.
  [[nodiscard]] timestamp end_of(timestamp now, duration span) const {
    return timeout == duration{0} ? now + span : std::min(now + span, started_at + timeout);
  }
};

/// The leases of all running jobs, in memory and in the journal.
///
/// Changes belong to a group: they reach the journal when it is committed, and are undone when it
/// is rolled back. Threading: none of its own.
class lease_table final {
public:
  explicit lease_table(lease_journal& journal) noexcept : journal_(journal) {}

  [[nodiscard]] const lease* find(std::uint64_t id) const;
  [[nodiscard]] std::size_t size() const noexcept { return leases_.size(); }
  template <class Visit>
  void for_each(Visit visit) const {
    for (const auto& [id, held] : leases_) visit(id, held);
  }

  /// Requires: `journal.reserve` has made room. `attempts` is for the journal.
  void grant(std::uint64_t id, lease what, std::uint32_t attempts);
  void extend(std::uint64_t id, timestamp until);
  void end(std::uint64_t id);
  /// A lease of before, found in the journal at open.
  void adopt(std::uint64_t id, lease what);
  /// Gives an adopted lease its full interval, now that the job's timeout is known.
  void renew(std::uint64_t id, duration timeout, timestamp now);

  /// The next that is over at `now`: when it ended, and its job. It stays until `end`.
  [[nodiscard]] std::optional<std::pair<timestamp, std::uint64_t>> first_over(timestamp now);
  [[nodiscard]] std::optional<timestamp> next_end();

  void commit();
  void roll_back();

private:
  struct image {
    std::uint64_t id;
    std::optional<lease> before;
  };
  struct journal_change {
    std::uint32_t slot;
    /// Of id 0: the slot is freed.
    journaled_lease now;
  };
  using ending = std::pair<timestamp, std::uint64_t>;

  void watch(std::uint64_t id, timestamp until);
  /// Drops endings that leases have moved away from.
  void drop_stale_endings();

  lease_journal& journal_;
  boost::unordered_flat_map<std::uint64_t, lease> leases_;
  std::priority_queue<ending, std::vector<ending>, std::greater<>> endings_;
  // Of the present group.
  std::vector<image> images_;
  std::vector<journal_change> changes_;
};

}  // namespace millrace::embedded
