#pragma once

#include <millrace/base/error.hpp>

#include <filesystem>

namespace millrace::cli {

/// A file with the number of this process, for as long as it lives.
class pid_file final {
public:
  pid_file() = default;
  ~pid_file();
  pid_file(const pid_file&) = delete;
  pid_file& operator=(const pid_file&) = delete;

  /// Replaces what is there. An empty path writes nothing. Errors: forbidden
  /// (`pid_file_unwritable`).
  [[nodiscard]] result<void> write(const std::filesystem::path& path);

private:
  std::filesystem::path path_;
};

}  // namespace millrace::cli
