#include "backup.hpp"

#include "directory_lock.hpp"
#include "schema.hpp"
#include "sql.hpp"
#include "sqlite.hpp"

#include <millrace/engine_embedded/embedded_store.hpp>

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace millrace::embedded {
namespace {

result<void> sync_file(const std::filesystem::path& file) {
  const int handle = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = handle >= 0 && ::fsync(handle) == 0;
  const int native = errno;
  if (handle >= 0) ::close(handle);
  if (synced) return sync_directory(std::filesystem::absolute(file).parent_path());
  return fail(errc::unavailable, "storage_error",
              fmt::format("{} cannot be synced: {}", file.string(), std::strerror(native)));
}

result<void> copy_synced(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (result<void> made = make_private_file(to); !made) return made;
  std::error_code failed;
  std::filesystem::copy_file(from, to, std::filesystem::copy_options::overwrite_existing, failed);
  if (!failed) return sync_file(to);
  const bool full = failed == std::errc::no_space_on_device;
  return fail(
      full ? errc::storage_full : errc::unavailable, full ? "storage_full" : "storage_error",
      fmt::format("{} cannot be copied to {}: {}", from.string(), to.string(), failed.message()));
}

}  // namespace

result<void> copy_database(const std::filesystem::path& file, const std::string& vfs,
                           const std::filesystem::path& target) {
  std::error_code failed;
  if (std::filesystem::exists(target, failed)) {
    return fail(errc::conflict, "target_exists",
                fmt::format("{} exists already; a backup overwrites nothing.", target.string()));
  }
  auto db = database::open(file, vfs, database::mode::existing);
  if (!db) return std::unexpected(std::move(db.error()));
  if (result<void> made = make_private_file(target); !made) return made;
  statement copy(**db, sql::copy_to);
  const std::string name = target.string();
  if (copy.put(std::string_view(name)).run()) return sync_file(target);
  std::filesystem::remove(target, failed);
  return std::unexpected(*(*db)->failure());
}

result<void> restore(const std::filesystem::path& backup, const std::filesystem::path& directory) {
  std::error_code failed;
  if (std::filesystem::exists(directory, failed) && !std::filesystem::is_empty(directory, failed)) {
    return fail(errc::conflict, "target_exists",
                fmt::format("{} is not empty; a backup is restored into a new directory.",
                            directory.string()));
  }
  {
    auto db = database::open(backup, "", database::mode::read_only);
    if (!db) return std::unexpected(std::move(db.error()));
    if (result<void> whole = check_database(**db); !whole) return whole;
  }
  const auto lock = directory_lock::take(std::filesystem::absolute(directory));
  if (!lock) return std::unexpected(lock.error());
  return copy_synced(backup, std::filesystem::absolute(directory) / "millrace.db");
}

}  // namespace millrace::embedded
