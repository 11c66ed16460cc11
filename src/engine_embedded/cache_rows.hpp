#pragma once

#include "sqlite.hpp"

#include <string_view>

namespace millrace::embedded {

/// What stands in the place of a tag where a mark is of a whole project: when it was cleared, and
/// how old entries with any tag may be. No tag is empty or has a control character.
inline constexpr std::string_view cleared_mark = "";
inline constexpr std::string_view tags_floor_mark = "\x01";

/// The statements of the cache.
struct cache_rows {
  explicit cache_rows(database& db);

  statement insert;
  statement remove;
  statement read;
  statement write_mark;
  statement remove_mark;
};

}  // namespace millrace::embedded
