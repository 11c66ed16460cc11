#pragma once

#include <millrace/cache/cached_value.hpp>
#include <millrace/cache/entry_limits.hpp>
#include <millrace/cache/local_cache.hpp>
#include <millrace/cache/near_cache.hpp>
#include <millrace/engine/cache_steps.hpp>

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

/// How an entry of the store lies in the memory of one process: the value, and behind it what a
/// `cached_value` has no place for.
namespace millrace::cache {

/// The name of a key among those of all projects: `project/key`. A project has no slash.
class near_name final {
public:
  /// Longer ones are no key's.
  [[nodiscard]] static bool fits(std::string_view project, std::string_view key) noexcept {
    return project.size() + key.size() < local_key_bytes_max;
  }
  /// Requires: it fits.
  near_name(std::string_view project, std::string_view key) noexcept;
  [[nodiscard]] std::string_view text() const noexcept { return {text_.data(), size_}; }

private:
  // Written as far as it is used.
  std::array<char, local_key_bytes_max> text_;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  std::size_t size_;
};

/// A tag among those of all projects.
[[nodiscard]] std::string near_tag(std::string_view project, std::string_view tag);
/// Carried by all entries of a project. No tag is empty.
inline constexpr std::string_view near_all_tag{};

/// `taken`: when, on the clock of the process, the store's clock was not yet at `store_now`.
/// Empty where it cannot be kept: its content type is too long.
[[nodiscard]] cached_value pack_near(const engine::cache_key& at, const engine::cache_entry& what,
                                     timestamp taken, timestamp store_now, duration outage_for,
                                     const near_terms& terms);
[[nodiscard]] engine::cache_entry unpack_near(const cached_value& kept, bool stale);

}  // namespace millrace::cache
