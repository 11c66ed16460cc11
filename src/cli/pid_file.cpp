#include "pid_file.hpp"

#include <fmt/format.h>

#include <fstream>
#include <system_error>
#include <unistd.h>

namespace millrace::cli {

pid_file::~pid_file() {
  std::error_code gone;
  if (!path_.empty()) std::filesystem::remove(path_, gone);
}

result<void> pid_file::write(const std::filesystem::path& path) {
  if (path.empty()) return {};
  std::ofstream out{path, std::ios::trunc};
  out << ::getpid() << '\n' << std::flush;
  if (!out) {
    return fail(errc::forbidden, "pid_file_unwritable",
                fmt::format("'{}' cannot be written", path.native()), "--pid-file");
  }
  path_ = path;
  return {};
}

}  // namespace millrace::cli
