#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/base/error.hpp>
#include <millrace/engine/limit_steps.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Which limits stand before a kind of request.
namespace millrace {

/// What a limit says while the store cannot.
enum class when_down : std::uint8_t {
  /// Yes.
  open,
  /// The request is refused (unavailable).
  closed,
  /// What this process alone has counted says, which it does all the time.
  local,
};

/// One limit of a policy.
struct limit_rule {
  /// `user`, `ip`, `bot`, … : the request has to say whose. Of `global`, `project` and `server`
  /// it is known: everybody's, the caller's project's, this server's.
  std::string scope;
  /// The scope that is limited in its place when the request does not say whose: an anonymous
  /// user is an `ip`. Empty: such a request is refused.
  std::string fallback;
  engine::limit_algorithm algorithm{engine::limit_algorithm::sliding};
  std::uint64_t limit{0};
  duration window{0};
  std::uint64_t burst{0};
  /// Of calendar budgets, by the clock of this zone.
  engine::limit_period period{engine::limit_period::none};
  std::string time_zone{"UTC"};
  /// Counts and tells, but refuses nothing.
  bool dry_run{false};
  when_down on_failure{when_down::local};

  friend bool operator==(const limit_rule&, const limit_rule&) = default;
};

/// Limits that are checked together, under one name.
struct limit_policy {
  std::vector<limit_rule> rules;
  /// `plan=enterprise`, `ip=10.0.*`: a request that says this is not limited, or not let through.
  /// A `*` at the end stands for any rest. What is denied is looked at first.
  std::vector<std::string> allow;
  std::vector<std::string> deny;

  friend bool operator==(const limit_policy&, const limit_policy&) = default;
};

struct limit_settings {
  std::map<std::string, limit_policy, std::less<>> policies;
  /// The id of scope `server`.
  std::string server_id{"local"};
  /// Also answer in `X-RateLimit-Limit`, `-Remaining` and `-Reset`.
  bool legacy_headers{false};
};

/// Policies of one store.
inline constexpr std::size_t limit_policies_max = 1000;
/// Counts, and charges of sliding windows, that a process keeps warm for limits that decide alone;
/// beyond them such a limit lets nothing new through while the store is away.
inline constexpr std::size_t local_counts_max = 100'000;
inline constexpr std::size_t local_charges_max = 1'000'000;
/// Entries of an allow- or deny-list.
inline constexpr std::size_t limit_list_max = 1000;

/// The policies there are without any configuration: `default`, a user (or the ip of an anonymous
/// one) 100 times a minute.
[[nodiscard]] const limit_settings& default_limit_settings();

/// The policy, or the one of that name that needs no configuration; null where there is none.
[[nodiscard]] const limit_policy* find_policy(const limit_settings& settings,
                                              std::string_view name);

/// Whether each policy makes sense: scopes, numbers, zones, lists; at most `limit_checks_max`
/// rules, no two of which mean the same count.
///
/// Errors: invalid_argument; the field is `chat.limits[0].window`, `chat.allow[2]` and so on.
[[nodiscard]] result<void> check_limit_settings(const limit_settings& settings);

/// A period of the calendar.
struct calendar_span {
  timestamp start;
  timestamp end;
};

/// The day, the week (from Monday on) or the month that a moment is in, by the clock of a zone. A
/// day begins at the first moment that the clock shows it.
///
/// Errors: those of `find_zone`.
[[nodiscard]] result<calendar_span> calendar_span_at(engine::limit_period what,
                                                     std::string_view time_zone, timestamp now);

[[nodiscard]] std::string_view to_string(when_down what) noexcept;
[[nodiscard]] std::optional<when_down> parse_when_down(std::string_view word) noexcept;

}  // namespace millrace
