#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/base/error.hpp>
#include <millrace/engine/store.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace millrace::embedded {

struct options {
  /// Where everything lives: `millrace.db` (SQLite, WAL), `leases`, `lock`. Made when absent.
  std::filesystem::path directory{".millrace"};
  /// What holds where a queue has not set it itself: whoever opens the store decides, anew each
  /// time.
  engine::queue_settings defaults;
  /// Not owned; empty: the system's.
  const clock_source* clock{nullptr};
  /// Jobs kept decoded between enqueue and lease, so that a lease reads no disk. Zero: none.
  std::size_t hot_jobs_bytes{std::size_t{64} << 20U};
  /// SQLite's page cache.
  std::size_t page_cache_bytes{std::size_t{32} << 20U};
  /// Bytes that the cache of each project may hold, in memory and on disk.
  std::uint64_t cache_bytes_max{engine::cache_bytes_default};
  /// How long an `async` change may wait for its sync.
  std::chrono::milliseconds async_window{50};
  /// So much of the log is written when the store is opened: overwriting it later, a sync has
  /// nothing to tell the file system but the data. While the store has little to do, the log is
  /// written back before it grows beyond this.
  std::size_t prepared_log_bytes{std::size_t{4} << 20U};
  /// Size of the log at which it is written back into the file.
  std::size_t checkpoint_bytes{std::size_t{16} << 20U};
  /// The SQLite VFS beneath; empty: the system's. Tests put one that fails here.
  std::string vfs;
  /// Called when a sync has failed, after the group was told `outcome_unknown`. The data on disk
  /// can no longer be trusted to be what was written, so the default prints why and ends the
  /// process.
  void (*on_sync_failure)(const error& why){nullptr};
};

/// The engine of one process and one directory: SQLite in WAL mode behind one group-commit writer.
///
/// Guarantees: as `engine::store`; durable means written and fdatasync'ed. Survives SIGKILL and
///             power loss. Leases survive SIGKILL; after a power loss their jobs are available
///             again. At open each live lease gets one full interval, since nobody could renew it
///             before.
/// Limits:     one process a directory; a second one is refused (directory_in_use).
class embedded_store : public engine::store {
public:
  /// Errors: invalid_argument (the defaults); conflict (directory_in_use, names the pid), forbidden
  /// (directory_unwritable), corrupted (database_corrupt, says how to restore), unsupported
  /// (database_newer, says which version wrote it), storage_full.
  [[nodiscard]] static result<std::unique_ptr<embedded_store>> open(options with);

  /// A consistent copy of everything, made while the store is in use. `target` must not exist.
  [[nodiscard]] virtual result<void> backup(const std::filesystem::path& target) = 0;
};

/// Makes a data directory from a backup, after checking it. `directory` must be absent or empty.
[[nodiscard]] result<void> restore(const std::filesystem::path& backup,
                                   const std::filesystem::path& directory);

}  // namespace millrace::embedded
