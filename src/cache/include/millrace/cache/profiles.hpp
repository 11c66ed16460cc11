#pragma once

#include <millrace/base/error.hpp>
#include <millrace/cache/family.hpp>

#include <span>
#include <string_view>
#include <vector>

namespace millrace::cache {

/// Families and rules that belong together.
struct profile {
  std::string_view name;
  std::string_view about;
  std::vector<family_spec> families;
  std::vector<invalidation_rule> rules;
};

/// The ready-made profiles: `mail`, `studio`, `flows`, `chatbots`, `documents`.
[[nodiscard]] std::vector<profile> ready_profiles();

/// The families and rules of several profiles together; what two of them declare alike is there
/// once.
/// Errors: invalid_argument at `cache.profiles` (no such profile).
[[nodiscard]] result<profile> join_profiles(std::span<const std::string_view> names);

}  // namespace millrace::cache
