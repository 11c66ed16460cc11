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
  /// Of concurrency: how long a permit lasts without being renewed (`ttl` in the configuration).
  duration window{0};
  std::uint64_t burst{0};
  /// Of calendar budgets, by the clock of this zone.
  engine::limit_period period{engine::limit_period::none};
  std::string time_zone{"UTC"};
  /// Counts and tells, but refuses nothing.
  bool dry_run{false};
  /// What follows when it is asked for too often although it refuses. Not of `global` and `server`,
  /// which are everybody, nor of a limit with `lease`.
  engine::limit_penalty penalty{};
  when_down on_failure{when_down::local};
  /// The share of the limit that a process may charge ahead when it is asked often, and decide on
  /// without a round trip: 0.01 is a hundredth of the limit, for at most a hundredth of the window
  /// (and `lease_life_max`). Zero: none. What a sliding window admits is never more than its limit
  /// and at most this share less; a token bucket admits at most this share more in a window.
  double lease{0};

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

/// A policy that stands before the server's own routes.
struct limit_binding {
  /// `POST /v1/queues/{queue}/jobs`, `* /v1/cache/*`: a method or `*`, and a path, of which a `*`
  /// or a name in braces stands for one segment, and a `*` at the end for any rest.
  std::string requests;
  std::string policy;

  friend bool operator==(const limit_binding&, const limit_binding&) = default;
};

struct limit_settings {
  std::map<std::string, limit_policy, std::less<>> policies;
  /// Of those that fit a request the one with the longest path counts, of two alike the one that
  /// names the method.
  std::vector<limit_binding> bindings;
  /// The id of scope `server`.
  std::string server_id{"local"};
  /// Also answer in `X-RateLimit-Limit`, `-Remaining` and `-Reset`.
  bool legacy_headers{false};
};

/// How long a process may use what it has charged ahead of such a limit; zero: it does not.
[[nodiscard]] duration lease_life(const limit_rule& rule) noexcept;

/// Policies of one store.
inline constexpr std::size_t limit_policies_max = 1000;
/// Counts, and charges of sliding windows, that a process keeps warm for limits that decide alone;
/// beyond them such a limit lets nothing new through while the store is away.
inline constexpr std::size_t local_counts_max = 100'000;
inline constexpr std::size_t local_charges_max = 1'000'000;
/// The largest share, and how long it may be used at most.
inline constexpr double lease_max = 0.1;
inline constexpr std::chrono::seconds lease_life_max{5};
/// Bindings of policies to routes.
inline constexpr std::size_t limit_bindings_max = 100;
/// Consumers that are named.
inline constexpr std::size_t limit_consumers_max = 100;
/// Entries of an allow- or deny-list.
inline constexpr std::size_t limit_list_max = 1000;

/// The policies there are without any configuration: `default`, a user (or the ip of an anonymous
/// one) 100 times a minute.
[[nodiscard]] const limit_settings& default_limit_settings();

/// The policy, or the one of that name that needs no configuration; null where there is none.
[[nodiscard]] const limit_policy* find_policy(const limit_settings& settings,
                                              std::string_view name);

/// The policy that is bound to requests of this method and path (without its query); null: none.
/// `/health`, what is below it, and `/metrics` are never limited.
[[nodiscard]] const limit_binding* find_binding(const limit_settings& settings,
                                                std::string_view method, std::string_view path);

/// Whether each policy makes sense: scopes, numbers, zones, lists; at most `limit_checks_max`
/// rules, no two of which mean the same count. Of a policy that is bound to routes each rule has to
/// be one of what a server knows of a request: `ip`, `endpoint`, `project`, `server`, `global`.
///
/// Errors: invalid_argument; the field is `policies.chat.limits[0].window`,
/// `policies.chat.allow[2]`,
///         `routes.POST /v1/jobs` and so on.
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
