#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>
#include <unistd.h>

namespace millrace::embedded {

/// A data directory for one test, absent at first and removed with everything in it at the end.
/// In memory where the machine has such a place: what a test shows does not hang on the disk, but
/// how long its thousands of syncs take does.
class test_directory final {
public:
  test_directory() {
    const std::filesystem::path memory = "/dev/shm";
    const bool usable = ::access(memory.c_str(), W_OK) == 0;
    const auto parent = usable ? memory : std::filesystem::temp_directory_path();
    std::string name = (parent / "millrace-test-XXXXXX").string();
    root_ = ::mkdtemp(name.data());
  }
  ~test_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }
  test_directory(const test_directory&) = delete;
  test_directory& operator=(const test_directory&) = delete;

  [[nodiscard]] std::filesystem::path path() const { return root_ / "data"; }
  [[nodiscard]] std::filesystem::path beside(const std::string& name) const { return root_ / name; }

private:
  std::filesystem::path root_;
};

}  // namespace millrace::embedded
