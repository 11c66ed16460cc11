#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <random>
#include <string>

/// For tests only: a VFS over SQLite's own that fails when told to, and that knows what a power
/// loss would leave of every file.
namespace millrace::embedded::fault_vfs {

enum class operation : std::uint8_t { read = 1, write = 2, sync = 4, truncate = 8 };
constexpr unsigned operator|(operation a, operation b) {
  return static_cast<unsigned>(a) | static_cast<unsigned>(b);
}

struct plan {
  /// Which operations count; of these the `at`th fails, counted from `arm`, and `times - 1` more.
  unsigned operations{0};
  std::uint64_t at{0};
  std::uint64_t times{1};
  /// As by a full disk, where a write fails; else by a broken one.
  bool full{false};
};

/// Registers the VFS once; its name, for `options::vfs`.
[[nodiscard]] const std::string& name();

void arm(const plan& what);
void disarm();
/// Operations that failed since `arm`.
[[nodiscard]] std::uint64_t failures();
/// Operations of the plan's kinds seen since `arm`.
[[nodiscard]] std::uint64_t seen();

/// From now on remembers what of each file is not synced.
void watch_unsynced();
/// Copies the files of a directory as a power loss at this moment could leave them: of each sector
/// (512 bytes) that was written and not synced, the old content or the new one, by chance.
/// Requires: nothing is being written.
void copy_after_power_loss(const std::filesystem::path& from, const std::filesystem::path& to,
                           std::mt19937_64& chance);

}  // namespace millrace::embedded::fault_vfs
