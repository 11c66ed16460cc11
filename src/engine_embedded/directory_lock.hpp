#pragma once

#include <millrace/base/error.hpp>

#include <filesystem>
#include <memory>

namespace millrace::embedded {

/// A data directory that is ours alone, until the process ends however it ends.
class directory_lock final {
public:
  /// Makes the directory (0700) where it is absent.
  /// Errors: conflict (directory_in_use, names the pid), forbidden (directory_unwritable).
  [[nodiscard]] static result<std::unique_ptr<directory_lock>> take(
      const std::filesystem::path& directory);
  ~directory_lock();
  directory_lock(const directory_lock&) = delete;
  directory_lock& operator=(const directory_lock&) = delete;

private:
  explicit directory_lock(int file) noexcept : file_(file) {}
  int file_;
};

/// Makes the entries of a directory durable.
[[nodiscard]] result<void> sync_directory(const std::filesystem::path& directory);

/// Makes an empty file only its owner can read, where there is none.
[[nodiscard]] result<void> make_private_file(const std::filesystem::path& file);

}  // namespace millrace::embedded
