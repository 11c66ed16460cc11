#include "directory_lock.hpp"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/file.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace millrace::embedded {
namespace {

std::unexpected<error> unwritable(const std::filesystem::path& path, int native) {
  return fail(
      errc::forbidden, "directory_unwritable",
      fmt::format("{} cannot be used as a data directory: {}. Choose another with --data, or "
                  "give yourself the rights to it.",
                  path.string(), std::strerror(native)));
}

std::string read_pid(int file) {
  std::array<char, 32> text{};
  const ssize_t bytes = ::pread(file, text.data(), text.size() - 1, 0);
  std::string pid(text.data(), bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
  while (!pid.empty() && pid.back() == '\n') pid.pop_back();
  return pid.empty() ? "unknown" : pid;
}

}  // namespace

result<std::unique_ptr<directory_lock>> directory_lock::take(
    const std::filesystem::path& directory) {
  std::error_code failed;
  if (const std::filesystem::path parent = directory.parent_path(); !parent.empty()) {
    std::filesystem::create_directories(parent, failed);
    if (failed) return unwritable(directory, failed.value());
  }
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return unwritable(directory, errno);
  }
  const std::filesystem::path file = directory / "lock";
  const int handle = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (handle < 0) return unwritable(directory, errno);
  std::unique_ptr<directory_lock> out(new directory_lock(handle));
  if (::flock(handle, LOCK_EX | LOCK_NB) != 0) {
    return fail(
        errc::conflict, "directory_in_use",
        fmt::format("{} is in use by process {}. Stop that one, or choose another directory "
                    "with --data.",
                    directory.string(), read_pid(handle)));
  }
  const std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(handle, 0) != 0 ||
      ::pwrite(handle, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    // Only the message to a second process suffers; a full disk shows itself soon enough.
    static_cast<void>(::ftruncate(handle, 0));
  }
  return out;
}

directory_lock::~directory_lock() { ::close(file_); }

result<void> sync_directory(const std::filesystem::path& directory) {
  const int handle = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (handle < 0) return unwritable(directory, errno);
  const int failed = ::fsync(handle) == 0 ? 0 : errno;
  ::close(handle);
  if (failed != 0) return unwritable(directory, failed);
  return {};
}

result<void> make_private_file(const std::filesystem::path& file) {
  const int handle = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (handle < 0) return unwritable(file, errno);
  ::close(handle);
  return {};
}

}  // namespace millrace::embedded
