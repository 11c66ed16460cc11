#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/base/error.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::cache {

/// What a family's callers get while its store cannot be reached.
enum class outage_rule : std::uint8_t {
  /// A miss: they load from the source, nothing is kept.
  bypass,
  /// What this process still has, marked stale, for `outage_for`; then a miss.
  serve_stale,
  /// An error at once: the source could not take the load.
  refuse,
};

[[nodiscard]] std::string_view to_string(outage_rule rule) noexcept;

/// A time to live that goes by how often a key is asked for.
struct adaptive_ttl {
  struct step {
    /// Asked for more often than this since the statistics began to know the key.
    std::uint64_t above{0};
    duration ttl{0};
    friend bool operator==(const step&, const step&) = default;
  };
  /// From the most to the fewest.
  std::vector<step> steps{{100, std::chrono::seconds{3600}}, {10, std::chrono::seconds{600}}};
  /// Of all others.
  duration otherwise{std::chrono::seconds{300}};

  friend bool operator==(const adaptive_ttl&, const adaptive_ttl&) = default;
};

/// A kind of entries: which keys they have and how they are kept. Declared once, at start.
struct family_spec {
  /// As in settings and statistics: `[A-Za-z0-9._-]{1,128}`.
  std::string name;
  /// `vector:{bot_id}:{query_hash}`; see `key_pattern`.
  std::string pattern;
  /// None: the default of the whole cache. 1 ms to a year. An encrypted family states its own.
  std::optional<duration> ttl{};
  /// By up to this share a time to live is shortened, each entry's by another, so that what was
  /// filled together does not expire together. 0 to 0.5.
  double jitter{0.1};
  /// Patterns of tags, from parts of the key: `bot:{bot_id}`. Whoever invalidates a tag takes all
  /// entries that carry it.
  std::vector<std::string> tags{};
  /// Values of at least so many bytes are compressed. None: never.
  std::optional<std::size_t> compress_above{};
  /// Encrypted in the store, and wiped from memory when dropped.
  bool encrypt{false};
  /// After its time a value is still given at once, while one caller renews it. Zero: it is not.
  duration stale_while_revalidate{0};
  /// After its time a value is still given where renewing it failed. Zero: it is not.
  duration stale_if_error{0};
  /// How long the answer "there is none" is kept. None: it is not.
  std::optional<duration> negative_ttl{};
  std::optional<adaptive_ttl> adaptive{};
  outage_rule outage{outage_rule::bypass};
  /// With `serve_stale`: for how long. What another process changed meanwhile is not seen.
  duration outage_for{0};
  /// Also kept in the memory of each process.
  bool local{true};
  /// How many of its most used keys are loaded at start. Zero: none.
  std::size_t warm{0};

  friend bool operator==(const family_spec&, const family_spec&) = default;
};

/// What goes when something changes: `bot` removes `bot:{bot_id}`, `bots:user:{user_id}` and
/// `vector:{bot_id}:*`.
struct invalidation_rule {
  std::string name;
  /// Keys with parts; with `*` as the last character, all keys that begin so; with `#` as the
  /// first, all that carry this tag.
  std::vector<std::string> removes;

  friend bool operator==(const invalidation_rule&, const invalidation_rule&) = default;
};

/// Checks what a spec says by itself; `prefix` begins the names of fields in errors, as in
/// `cache.families.vector`.
/// Errors: invalid_argument, with the field and what to write instead.
[[nodiscard]] result<void> check_family(const family_spec& spec, std::string_view prefix);

}  // namespace millrace::cache
