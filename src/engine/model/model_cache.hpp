#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/base/error.hpp>
#include <millrace/engine/store.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace millrace::model {

/// The cache part of the model: entries, claims and marks of each project in plain maps.
class cache_model final {
public:
  using refused = std::optional<error>;
  using stamps = std::function<std::uint64_t()>;
  /// What a step is applied with.
  struct moment {
    timestamp now{};
    stamps next_stamp;
  };

  explicit cache_model(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}

  /// Forgets what is over by now.
  void expire(timestamp now);
  /// No claim outlives a restart.
  void end_claims();
  /// Keys whose claim has ended since the last call.
  [[nodiscard]] std::set<engine::cache_key> take_hints();

  // Checks change nothing; `claims_added` are those of the transaction so far.
  refused check(const engine::put_cache& step, std::size_t& claims_added, timestamp now) const;
  refused check(const engine::claim_cache& step, std::size_t& claims_added, timestamp now) const;
  refused check(const engine::renew_claim& step, std::size_t& claims_added, timestamp now) const;
  refused check(const engine::release_claim& step, std::size_t& claims_added, timestamp now) const;
  refused check(const engine::delete_cache& step, std::size_t& claims_added, timestamp now) const;
  refused check(const engine::invalidate_tag&, std::size_t&, timestamp) const { return {}; }
  refused check(const engine::delete_matching&, std::size_t&, timestamp) const { return {}; }
  refused check(const engine::clear_cache&, std::size_t&, timestamp) const { return {}; }
  engine::outcome apply(const engine::put_cache& step, const moment& at);
  engine::outcome apply(const engine::claim_cache& step, const moment& at);
  engine::outcome apply(const engine::renew_claim& step, const moment& at);
  engine::outcome apply(const engine::release_claim& step, const moment& at);
  engine::outcome apply(const engine::delete_cache& step, const moment& at);
  engine::outcome apply(const engine::invalidate_tag& step, const moment& at);
  engine::outcome apply(const engine::delete_matching& step, const moment& at);
  engine::outcome apply(const engine::clear_cache& step, const moment& at);

  [[nodiscard]] result<engine::answer> read(const engine::read_cache& what, timestamp now);
  [[nodiscard]] result<engine::answer> read(const engine::list_cache& what, timestamp now);
  [[nodiscard]] result<engine::answer> read(const engine::read_cache_stats& what, timestamp now);

private:
  struct record {
    engine::cache_entry what;
    std::uint64_t bytes{0};
    timestamp used{};
  };
  struct claim {
    std::uint64_t lease{0};
    timestamp until{};
  };
  struct project {
    std::map<std::string, record> entries;
    std::map<std::string, claim> claims;
    /// Tag -> when it was invalidated last.
    std::map<std::string, std::uint64_t> marks;
    /// Entries with tags that are as old as the first are invalidated; all that are as old as the
    /// second.
    std::uint64_t tags_floor{0};
    std::uint64_t cleared{0};
    std::uint64_t bytes{0};
    std::uint64_t evicted{0};
    std::uint64_t expired{0};
  };
  using entries = std::map<std::string, record>;

  [[nodiscard]] static bool is_valid(const project& in, std::uint64_t since,
                                     const std::vector<std::string>& tags);
  [[nodiscard]] const project* find(const std::string& name) const;
  /// The entry that is there.
  [[nodiscard]] const record* find(const engine::cache_key& at) const;
  [[nodiscard]] const claim* find_claim(const engine::cache_key& at, timestamp now) const;
  [[nodiscard]] refused check_lease(const engine::cache_key& at, std::uint64_t lease,
                                    timestamp now) const;
  [[nodiscard]] static engine::cache_entry view(const record& of, timestamp now);
  void end_claim(const engine::cache_key& at);
  static entries::iterator forget(project& from, entries::iterator which);
  std::vector<std::string> evict(project& from, const std::string& but);

  std::uint64_t bytes_max_;
  std::map<std::string, project> projects_;
  std::set<engine::cache_key> hints_;
};

/// The steps and queries that `cache_model` knows.
template <class Step>
concept cache_step =
    requires(cache_model& in, const Step& step, cache_model::moment at) { in.apply(step, at); };
template <class Query>
concept cache_query =
    requires(cache_model& in, const Query& what, timestamp now) { in.read(what, now); };

}  // namespace millrace::model
