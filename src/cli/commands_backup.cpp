#include "commands.hpp"
#include "people.hpp"
#include "run_to_end.hpp"
#include "server_call.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <ostream>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace millrace::cli {
namespace {

/// A server may need long to copy a large store before the first byte comes.
constexpr std::chrono::minutes backup_timeout{10};

std::unexpected<error> file_trouble(std::string_view file, std::string_view what) {
  return fail(errc::storage_full, "file_not_written",
              fmt::format("'{}' {}: {}", file, what, std::strerror(errno)), "FILE");
}

/// A new file that is only there once it is whole: it is written beside its place, synced, and put
/// there without replacing anything.
class new_file final {
public:
  explicit new_file(std::string path) : path_(std::move(path)), part_(path_ + ".part") {}
  ~new_file() {
    if (descriptor_ >= 0) ::close(descriptor_);
    if (made_) ::unlink(part_.c_str());
  }
  new_file(const new_file&) = delete;
  new_file& operator=(const new_file&) = delete;

  [[nodiscard]] result<void> open() {
    if (::access(path_.c_str(), F_OK) == 0) {
      return invalid("FILE", fmt::format("'{}' is there already; name a new file", path_));
    }
    descriptor_ = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (descriptor_ < 0 && errno == EEXIST) {
      return invalid("FILE", fmt::format("'{}' is there: another backup writes it, or one was "
                                         "interrupted; remove it when none is under way",
                                         part_));
    }
    if (descriptor_ < 0 && errno == ENOENT) {
      return invalid("FILE", fmt::format("'{}' is in no directory that exists: make it first, or "
                                         "name another place",
                                         path_));
    }
    if (descriptor_ < 0) return file_trouble(path_, "cannot be made");
    made_ = true;
    return {};
  }

  [[nodiscard]] result<void> append(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto written = ::write(descriptor_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return file_trouble(part_, "cannot be written");
      bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
  }

  [[nodiscard]] result<void> finish() {
    if (::fsync(descriptor_) != 0) return file_trouble(part_, "cannot be synced");
    if (::link(part_.c_str(), path_.c_str()) != 0) return file_trouble(path_, "cannot be made");
    return {};
  }

private:
  std::string path_;
  std::string part_;
  int descriptor_{-1};
  bool made_{false};
};

exit_code backup(context& with) {
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "backup", server.error());
  const std::string& path = with.in.required("FILE");
  new_file file{path};
  if (auto opened = file.open(); !opened) return report(with, opened.error());
  client::request what{.target = "/admin/backup", .timeout = backup_timeout};
  const auto got = run_to_end(
      (*server)->io(), (*server)->api().download(
                           std::move(what), [&file](auto bytes) { return file.append(bytes); }));
  if (!got) return report(with, got.error());
  if (auto finished = file.finish(); !finished) return report(with, finished.error());
  with.around.out << fmt::format("{} bytes in {}\n", grouped(*got), path);
  return exit_code::done;
}

constexpr std::string_view what_a_backup_is = "a backup is a file that `millrace backup` wrote";

/// Whether there is a file to read at all.
result<void> check_backup_file(const std::string& file) {
  std::error_code ec;
  const auto kind = std::filesystem::status(file, ec).type();
  if (kind == std::filesystem::file_type::not_found) {
    return fail(errc::not_found, "file_not_found",
                fmt::format("'{}' does not exist; {}", file, what_a_backup_is), "FILE");
  }
  if (kind != std::filesystem::file_type::regular) {
    return invalid("FILE", fmt::format("'{}' is no regular file; {}", file, what_a_backup_is));
  }
  if (::access(file.c_str(), R_OK) == 0) return {};
  return fail(errc::forbidden, "file_not_readable",
              fmt::format("'{}' cannot be read: {}", file, std::strerror(errno)), "FILE");
}

/// The engine speaks of its own files; here one of two is meant, and it is said which.
error of_restore(error why, const std::string& file) {
  if (why.kind == errc::corrupted) {
    why.field = "FILE";
    why.detail = fmt::format("'{}' is no backup, or a damaged one: {} (`file {}` says what it is)",
                             file, what_a_backup_is, file);
  } else if (why.code == "database_newer") {
    why.field = "FILE";
    why.detail =
        fmt::format("'{}' was written by a newer millrace: restore it with that one", file);
  } else if (why.code == "target_exists" || why.code == "directory_unwritable" ||
             why.code == "directory_in_use") {
    why.field = "--data";
  }
  return why;
}

exit_code restore(context& with) {
  const std::string& file = with.in.required("FILE");
  if (auto there = check_backup_file(file); !there) return report(with, there.error());
  const std::string directory = with.in.text_or("--data", ".millrace");
  const auto restored = with.engine.restore(file, directory);
  if (!restored) return report(with, of_restore(restored.error(), file));
  with.around.out << fmt::format("{} is ready: millrace serve --data {}\n", directory, directory);
  return exit_code::done;
}

}  // namespace

std::vector<command> backup_commands() {
  return {
      {.name = "backup",
       .purpose = "Write a consistent copy of a running server's data into a file.",
       .arguments = {{.name = "FILE",
                      .purpose = "a new file; whole once it is there",
                      .kind = value_kind::file}},
       .options = with_server_options({}),
       .examples = {"millrace backup friday.millrace"},
       .run = backup},
      {.name = "restore",
       .purpose = "Make a data directory from a backup; no server may use it.",
       .arguments = {{.name = "FILE",
                      .purpose = "a file that `millrace backup` wrote",
                      .kind = value_kind::file}},
       .options = {{.name = "--data",
                    .value = "DIR",
                    .purpose = "the data directory to make; absent or empty (default .millrace)",
                    .kind = value_kind::directory}},
       .examples = {"millrace restore friday.millrace --data ./restored"},
       .run = restore},
  };
}

}  // namespace millrace::cli
