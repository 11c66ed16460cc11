#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// What the callers of a backend with bots, users, sources and searches ask for.
namespace demo {

enum class kind : std::uint8_t { bot, user, source, search };
inline constexpr std::size_t kinds = 4;
[[nodiscard]] std::string_view to_string(kind of);

struct request {
  kind of{kind::bot};
  std::uint32_t id{0};
  /// Changes the record, instead of reading it.
  bool writes{false};
};

/// How many there are of each, in the database.
inline constexpr std::uint32_t bots = 500;
inline constexpr std::uint32_t users = 1'500;
inline constexpr std::uint32_t sources = 1'000;
/// Different searches; each compares one vector with those of its bot's chunks.
inline constexpr std::uint32_t searches = 800;

/// Popular ones far more often than others (Zipf, exponent 1.1); one in a hundred is a change.
[[nodiscard]] std::vector<request> make_workload(std::size_t count, std::uint64_t seed);

/// The cache's key of it: `bot:7`, `vector:7:19`.
[[nodiscard]] std::string key_of(const request& one);
/// A change of any of those invalidates what carries the tag.
[[nodiscard]] std::string tag_of(const request& one);

}  // namespace demo
