#pragma once

#include <millrace/engine/limits.hpp>

#include <boost/unordered/unordered_flat_map.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>

namespace millrace::embedded {

/// What carries which correlation id: of the latest jobs and events that carry one, where they
/// stand. Ids are known by their hashes: whoever follows a place looks whether it is meant.
///
/// Cost: 32 bytes for each of them and about 24 for each different id; to add one, to find the
/// first of an id and to forget the oldest, O(1); to forget another, O(log n).
class correlation_index final {
public:
  struct place {
    /// Of the job's id, or the event's own.
    std::uint64_t stamp{0};
    /// Of an event; 0: it is a job.
    std::int64_t event_row{0};
  };

  explicit correlation_index(std::size_t most = engine::correlated_max) : most_(most) {}

  [[nodiscard]] static std::uint64_t hash_of(std::string_view project, std::string_view id);

  void clear();
  /// The oldest gives way where there is no room. Requires: its stamp is greater than all.
  void add(std::uint64_t hash, place what);
  void forget(std::uint64_t stamp);

  /// The next older place of an id, below a stamp.
  [[nodiscard]] std::optional<place> before(std::uint64_t hash, std::uint64_t stamp) const;
  /// There is no room: older ones may be missing.
  [[nodiscard]] bool is_full() const noexcept { return nodes_.size() >= most_; }
  [[nodiscard]] std::size_t size() const noexcept { return nodes_.size(); }

private:
  struct node {
    place what;
    std::uint64_t hash{0};
    /// The number of the one before it with the same hash; 0: none.
    std::uint64_t older{0};
    [[nodiscard]] bool is_gone() const noexcept { return what.event_row == gone; }
  };
  static constexpr std::int64_t gone = -1;

  [[nodiscard]] const node* numbered(std::uint64_t number) const;
  /// The first whose stamp is not less.
  [[nodiscard]] std::deque<node>::const_iterator at_or_above(std::uint64_t stamp) const;
  void pop_oldest();

  std::size_t most_;
  /// By their stamps. They have numbers: the first has `first_`, each other one more.
  std::deque<node> nodes_;
  std::uint64_t first_{1};
  /// The number of the newest of each hash.
  boost::unordered_flat_map<std::uint64_t, std::uint64_t> newest_;
};

}  // namespace millrace::embedded
