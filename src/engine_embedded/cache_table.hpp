#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/engine/store.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace millrace::embedded {

/// The cache in memory: what is under which key, what was invalidated when, who fills what, and
/// what goes first. What is on disk as well is the writer's business.
///
/// Threading: only the writer changes it. Others read it through `read`, which also notes uses;
///            so the writer holds `mutex` whenever it looks or changes.
class cache_table final {
public:
  struct project;
  struct entry;
  using entries = std::map<std::string, entry, std::less<>>;

  struct entry {
    /// Empty: on disk only.
    std::shared_ptr<const std::string> value;
    std::string content_type;
    std::vector<std::string> tags;
    /// The row, too.
    std::uint64_t version{0};
    timestamp created_at{};
    timestamp expires_at{};
    timestamp stale_until{};
    /// Against the quota.
    std::uint64_t bytes{0};
    timestamp used{};
    std::list<entries::iterator>::iterator by_use;
  };
  struct claim {
    std::uint64_t lease{0};
    timestamp until{};
  };
  struct project {
    std::string name;
    entries all;
    /// The least recently used first.
    std::list<entries::iterator> by_use;
    /// Tag -> when it was invalidated last, and the other way round.
    std::unordered_map<std::string, std::uint64_t> marks;
    std::map<std::uint64_t, std::string> marks_by_age;
    /// Entries with tags that are older than the first are invalidated; all older than the second.
    std::uint64_t tags_floor{0};
    std::uint64_t cleared{0};
    std::map<std::string, claim, std::less<>> claims;
    std::uint64_t bytes{0};
    std::uint64_t evicted{0};
    std::uint64_t expired{0};
  };

  /// For the writer; see above.
  std::mutex mutex;

  /// Answers from memory; nothing where a value has to be read from the disk first. Locks.
  [[nodiscard]] std::optional<result<engine::answer>> read(const engine::read_cache& what,
                                                           timestamp clock_now);

  // Requires: `mutex` is held.

  void set_now(timestamp now) { now_ = std::max(now_, now); }
  [[nodiscard]] project* find(std::string_view name);
  [[nodiscard]] project& open(const std::string& name);
  /// The entry that is there, stale ones included.
  [[nodiscard]] entry* find(const engine::cache_key& at);
  [[nodiscard]] claim* find_claim(const engine::cache_key& at);
  /// What was made then, with these tags, has not been invalidated since.
  [[nodiscard]] static bool is_valid(const project& in, std::uint64_t since,
                                     const std::vector<std::string>& tags);
  [[nodiscard]] bool is_stale(const entry& what) const { return now_ >= what.expires_at; }
  void note_use(project& in, entry& what) const;
  /// Requires: there is none under the key.
  entry& add(project& in, std::string key, entry what);
  entries::iterator forget(project& in, entries::iterator which);
  /// The tag that is forgotten for it, where there are too many.
  std::optional<std::string> mark(project& in, const std::string& tag, std::uint64_t stamp);
  void set_tags_floor(project& in, std::uint64_t stamp) const {
    in.tags_floor = std::max(in.tags_floor, stamp);
  }
  /// The entry whose time is over first.
  struct ending {
    timestamp at{};
    project* in{nullptr};
    entries::iterator which;
  };
  [[nodiscard]] std::optional<ending> first_ending() const;
  /// Forgets everything but what is counted.
  void empty();

private:
  std::map<std::string, project, std::less<>> projects_;
  std::map<std::pair<timestamp, std::uint64_t>, std::pair<project*, entries::iterator>> endings_;
  timestamp now_{};
};

/// The entry as its readers see it. Requires: its value is there, unless it is left out.
[[nodiscard]] engine::cache_entry view_entry(const cache_table::entry& of, bool stale, bool bare);

}  // namespace millrace::embedded
