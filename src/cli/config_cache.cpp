#include "config_cache.hpp"

#include <millrace/cache/profiles.hpp>
#include <millrace/secrets/secret_bytes.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

namespace millrace::cli {
namespace {

/// Sixteen keys with room for what is said about them.
constexpr std::uintmax_t key_file_bytes_max = 64U << 10U;

// `cache`, `families`, the name, the setting.
constexpr std::size_t name_at = 2;
constexpr std::size_t setting_at = 3;

// The error at the line of the setting that it names.
error placed(error why, const cache_texts& texts) {
  for (const auto& [kind, tables] :
       {std::pair{"families", &texts.families}, std::pair{"rules", &texts.rules}}) {
    for (const auto& [name, table] : *tables) {
      const std::string prefix = fmt::format("cache.{}.{}", kind, name);
      if (why.field != prefix && !why.field.starts_with(prefix + '.')) continue;
      // One that is missing stands beside those that are there.
      std::size_t at = 0;
      for (std::size_t i = 0; i < table.settings.size(); ++i) {
        if (why.field == fmt::format("{}.{}", prefix, table.settings[i].name)) at = i;
      }
      const std::string& place = table.places[at];
      why.field = fmt::format("{}: {}", place.substr(0, place.find(": ")), why.field);
      return why;
    }
  }
  return why;
}

result<cache::profile> profiles_of(const cache_texts& texts) {
  const std::vector<std::string_view> names(texts.profiles.begin(), texts.profiles.end());
  auto joined = cache::join_profiles(names);
  if (!joined) joined.error().field = texts.profiles_from;
  return joined;
}

template <class Spec>
Spec* named(std::vector<Spec>& among, std::string_view name) {
  const auto found = std::ranges::find(among, name, &Spec::name);
  return found == among.end() ? nullptr : &*found;
}

template <class Spec>
void put_over(std::vector<Spec>& among, Spec one) {
  if (Spec* const there = named(among, one.name)) {
    *there = std::move(one);
  } else {
    among.push_back(std::move(one));
  }
}

result<cache::family_set> families_of(const cache_texts& texts,
                                      const cache::environment& variables) {
  auto all = profiles_of(texts);
  if (!all) return std::unexpected(std::move(all.error()));
  for (const auto& [name, table] : texts.families) {
    auto spec = cache::parse_family(name, table.settings, named(all->families, name));
    if (!spec) return std::unexpected(std::move(spec.error()));
    put_over(all->families, std::move(*spec));
  }
  for (const auto& [name, table] : texts.rules) {
    auto rule = cache::parse_rule(name, table.settings);
    if (!rule) return std::unexpected(std::move(rule.error()));
    put_over(all->rules, std::move(*rule));
  }
  if (auto read = cache::apply_environment(all->families, variables); !read) {
    return std::unexpected(std::move(read.error()));
  }
  return cache::family_set::make(std::move(all->families), std::move(all->rules));
}

std::unexpected<error> bad_key_file(const cache_texts& texts, std::string_view what) {
  return invalid(texts.key_file_from, fmt::format("'{}' {}", texts.key_file, what),
                 "invalid_encryption_key");
}

result<std::optional<secrets::key_ring>> keys_of(const cache_texts& texts,
                                                 std::vector<std::string>& warnings) {
  if (!texts.keys.empty() && !texts.key_file.empty()) {
    return invalid(texts.key_file_from,
                   "MILLRACE_ENCRYPTION_KEYS says keys too; give one of the two",
                   "invalid_encryption_key");
  }
  if (!texts.keys.empty()) {
    auto ring = secrets::key_ring::parse(texts.keys, "MILLRACE_ENCRYPTION_KEYS");
    if (!ring) return std::unexpected(std::move(ring.error()));
    return std::optional{std::move(*ring)};
  }
  if (texts.key_file.empty()) return std::optional<secrets::key_ring>{};
  std::error_code gone;
  const std::filesystem::path file = texts.key_file;
  const bool usable = std::filesystem::is_regular_file(file, gone) &&
                      std::filesystem::file_size(file, gone) <= key_file_bytes_max;
  if (!usable) return bad_key_file(texts, "is no file with keys that can be read");
  std::ifstream in{file, std::ios::binary};
  std::string text{std::istreambuf_iterator<char>{in}, std::istreambuf_iterator<char>{}};
  if (in.bad() || !in.is_open()) return bad_key_file(texts, "cannot be read");
  auto ring = secrets::key_ring::parse(text, texts.key_file_from);
  secrets::wipe(text);
  if (!ring) return std::unexpected(std::move(ring.error()));
  const auto rights = std::filesystem::status(file, gone).permissions();
  if ((rights & std::filesystem::perms::others_read) != std::filesystem::perms::none) {
    warnings.push_back(
        fmt::format("the file {} with encryption keys can be read by everybody on this machine; "
                    "`chmod 600` keeps it to you",
                    texts.key_file));
  }
  return std::optional{std::move(*ring)};
}

}  // namespace

bool is_family_key(const file_entry& entry) {
  return entry.path.size() == setting_at + 1 && entry.path[0] == "cache" &&
         (entry.path[1] == "families" || entry.path[1] == "rules");
}

void apply_family_key(const file_entry& entry, cache_texts& into) {
  auto& tables = entry.path[1] == "families" ? into.families : into.rules;
  cache_texts::table& table = tables[entry.path[name_at]];
  table.settings.push_back({.name = entry.path[setting_at], .values = entry.value.as_setting()});
  table.places.push_back(entry.value.place());
}

result<std::shared_ptr<cache::declared_cache>> declare_cache(const cache_texts& texts,
                                                             const cache::environment& variables,
                                                             bool encrypts,
                                                             std::vector<std::string>& warnings) {
  auto families = families_of(texts, variables);
  if (!families) return std::unexpected(placed(std::move(families.error()), texts));
  auto keys = keys_of(texts, warnings);
  if (!keys) return std::unexpected(std::move(keys.error()));
  auto made = std::make_shared<cache::declared_cache>();
  made->families = std::move(*families);
  made->keys = std::move(*keys);
  if (auto fine = cache::check_declared(*made); !fine) {
    return std::unexpected(placed(std::move(fine.error()), texts));
  }
  if (encrypts && !made->keys) {
    return invalid("sessions.encrypt",
                   "what is encrypted needs a key: give MILLRACE_ENCRYPTION_KEYS or "
                   "encryption.key_file; `openssl rand -base64 32` makes one",
                   "missing_encryption_key");
  }
  return made;
}

}  // namespace millrace::cli
