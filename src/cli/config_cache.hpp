#pragma once

#include "config_file.hpp"

#include <millrace/base/error.hpp>
#include <millrace/cache/declared_cache.hpp>
#include <millrace/cache/family_settings.hpp>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace millrace::cli {

/// What is said of families of the cache and of encryption, as it was written: what makes sense is
/// seen when all of it is there.
struct cache_texts {
  struct table {
    std::vector<cache::setting> settings;
    /// Where each of them was written.
    std::vector<std::string> places;
  };
  /// `cache.profile`, and where that was said.
  std::vector<std::string> profiles;
  std::string profiles_from;
  /// By name.
  std::map<std::string, table> families;
  std::map<std::string, table> rules;
  /// Keys themselves, which only the environment holds; or a file with them.
  std::string keys;
  std::string key_file;
  std::string key_file_from;
};

/// A key of `[cache.families.NAME]` or `[cache.rules.NAME]`.
[[nodiscard]] bool is_family_key(const file_entry& entry);
void apply_family_key(const file_entry& entry, cache_texts& into);

/// Families, rules and keys together: profiles, what the file changes or adds, times of the
/// environment's `CACHE_…_TTL`. With `encrypts` keys are needed whatever the families say.
///
/// Errors: invalid_argument at the place of the setting.
[[nodiscard]] result<std::shared_ptr<cache::declared_cache>> declare_cache(
    const cache_texts& texts, const cache::environment& variables, bool encrypts,
    std::vector<std::string>& warnings);

}  // namespace millrace::cli
