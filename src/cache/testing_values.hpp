#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/cache/cached_value.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::cache::testing {

inline constexpr timestamp start = timestamp{std::chrono::seconds{1'767'225'600}};

struct value_options {
  std::uint64_t version{1};
  duration ttl{std::chrono::seconds{60}};
  duration stale_for{0};
  duration outage_for{0};
  std::vector<std::string> tags{};
};

inline cached_value make_value(std::string_view key, std::string_view data,
                               const value_options& options = {}) {
  std::vector<tag_id> tags;
  for (const std::string& tag : options.tags) tags.push_back(to_tag_id(tag));
  return cached_value::make(key,
                            {.version = options.version,
                             .created_at = start,
                             .expires_at = start + options.ttl,
                             .stale_for = options.stale_for,
                             .outage_for = options.outage_for},
                            "text/plain", data, tags);
}

}  // namespace millrace::cache::testing
