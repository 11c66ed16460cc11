#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/base/error.hpp>
#include <millrace/cache/family.hpp>

#include <chrono>
#include <optional>

namespace millrace::cache {

/// How long nobody tries again to load what could not be loaded.
inline constexpr std::chrono::seconds retry_after_min{1};
inline constexpr std::chrono::hours retry_after_max{1};
/// Longest time limit of a load.
inline constexpr std::chrono::hours load_timeout_max{1};

/// How a value is loaded, kept and renewed.
struct fill_options {
  /// 1 ms to a year. Zero: the default of the cache.
  duration ttl{0};
  /// By up to this share the time to live is shortened, each entry's by another, so that what was
  /// loaded together does not expire together. 0 to 0.5.
  double jitter{0};
  /// How long after that an old value is still good enough while somebody else loads, and when
  /// loading fails. Zero: never.
  duration stale_for{0};
  /// How long after it has expired an old value is given at once, while it is renewed behind the
  /// caller's back. Zero: whoever loads waits for it.
  duration stale_while_revalidate{0};
  /// How long it is remembered that there is nothing. Zero: not at all.
  duration negative_ttl{0};

  /// A hit renews its entry behind the caller's back before it expires, by chance: the costlier it
  /// was to load and the nearer its end, the likelier, so that of many callers about one does, in
  /// all processes together one at a time. 1 is the best for callers that do not know of each
  /// other, more renews earlier (XFetch; see `renews_early`). Zero: never.
  double early{0};
  /// A hit renews its entry behind the caller's back once this share of its life is over. 0 to 1;
  /// zero: never.
  double ahead{0};

  /// After so long a caller gets the old value, where `stale_for` or `stale_while_revalidate`
  /// allows one, and the load goes on without them. Zero: they wait.
  duration soft_timeout{0};
  /// After so long a caller gets the old value or an error; the load goes on, and what comes of it
  /// is kept. Zero: they wait.
  duration hard_timeout{0};
  /// After a load has failed nobody tries again for so long, in any process; all get the old value
  /// meanwhile. Where there is none the next caller tries. Zero: it is tried at once.
  duration retry_after{0};
  /// In place of `ttl`: by how often a key is asked for in this process.
  std::optional<adaptive_ttl> adaptive{};
  /// What callers get while the store cannot be reached. How long what is kept near is given then
  /// is said there.
  outage_rule outage{outage_rule::bypass};
};

/// What a family says of that.
[[nodiscard]] fill_options fill_options_of(const family_spec& of);

/// Errors: invalid_argument, with the field and what to write instead. What the store checks is
/// left to it.
[[nodiscard]] result<void> check_fill_options(const fill_options& with);

}  // namespace millrace::cache
