#include "fault_vfs.hpp"

#include <millrace/base/assert.hpp>

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <new>
#include <optional>
#include <vector>

namespace millrace::embedded::fault_vfs {
namespace {

constexpr std::size_t sector_bytes = 512;
using sector = std::array<char, sector_bytes>;

// What of a file a power loss may undo: the content and the size it had when it was last synced.
struct unsynced {
  std::map<std::size_t, sector> before;
  std::optional<sqlite3_int64> size_before;
};

struct shared_state {
  std::mutex mutex;
  plan armed;
  std::uint64_t seen{0};
  std::uint64_t failures{0};
  bool watching{false};
  std::map<std::string, unsynced> files;
};

shared_state& shared() {
  static shared_state instance;
  return instance;
}

// A file of ours; SQLite gives room for the one beneath right behind it.
struct file {
  sqlite3_file base;
  sqlite3_file* beneath;
  char path[512];
};

sqlite3_file* beneath(sqlite3_file* of) { return reinterpret_cast<file*>(of)->beneath; }

// The code to fail with, if this one has to.
std::optional<int> failure_of(operation what) {
  shared_state& in = shared();
  const std::lock_guard lock(in.mutex);
  if ((in.armed.operations & static_cast<unsigned>(what)) == 0) return std::nullopt;
  const std::uint64_t number = ++in.seen;
  if (number < in.armed.at || number >= in.armed.at + in.armed.times) return std::nullopt;
  ++in.failures;
  if (in.armed.full && what == operation::write) return SQLITE_FULL;
  switch (what) {
    case operation::read: return SQLITE_IOERR_READ;
    case operation::write: return SQLITE_IOERR_WRITE;
    case operation::sync: return SQLITE_IOERR_FSYNC;
    case operation::truncate: return SQLITE_IOERR_TRUNCATE;
  }
  return SQLITE_IOERR;
}

// Keeps the content of sectors that are about to change.
void remember(sqlite3_file* of, std::size_t from, std::size_t to) {
  shared_state& in = shared();
  const std::lock_guard lock(in.mutex);
  if (!in.watching) return;
  unsynced& kept = in.files[reinterpret_cast<file*>(of)->path];
  if (!kept.size_before) {
    sqlite3_int64 size = 0;
    beneath(of)->pMethods->xFileSize(beneath(of), &size);
    kept.size_before = size;
  }
  for (std::size_t at = from / sector_bytes; at * sector_bytes < to; ++at) {
    const auto [place, fresh] = kept.before.try_emplace(at);
    if (!fresh) continue;
    place->second.fill(0);
    // A short read leaves zeros, which is what lies behind the end.
    beneath(of)->pMethods->xRead(
        beneath(of), place->second.data(), sector_bytes,
        static_cast<sqlite3_int64>(at) * static_cast<sqlite3_int64>(sector_bytes));
  }
}

int close_file(sqlite3_file* of) { return beneath(of)->pMethods->xClose(beneath(of)); }

int read_file(sqlite3_file* of, void* to, int bytes, sqlite3_int64 at) {
  if (const auto code = failure_of(operation::read)) return *code;
  return beneath(of)->pMethods->xRead(beneath(of), to, bytes, at);
}

int write_file(sqlite3_file* of, const void* from, int bytes, sqlite3_int64 at) {
  remember(of, static_cast<std::size_t>(at), static_cast<std::size_t>(at + bytes));
  const auto code = failure_of(operation::write);
  if (!code) return beneath(of)->pMethods->xWrite(beneath(of), from, bytes, at);
  // As a disk would: a part of it may have been written.
  beneath(of)->pMethods->xWrite(beneath(of), from, bytes / 2, at);
  return *code;
}

int truncate_file(sqlite3_file* of, sqlite3_int64 size) {
  sqlite3_int64 before = 0;
  beneath(of)->pMethods->xFileSize(beneath(of), &before);
  if (size < before) {
    remember(of, static_cast<std::size_t>(size), static_cast<std::size_t>(before));
  }
  if (const auto code = failure_of(operation::truncate)) return *code;
  return beneath(of)->pMethods->xTruncate(beneath(of), size);
}

int sync_file(sqlite3_file* of, int flags) {
  if (const auto code = failure_of(operation::sync)) return *code;
  // What is written while a sync runs need not be covered by it.
  std::optional<unsynced> covered;
  {
    const std::lock_guard lock(shared().mutex);
    const auto at = shared().files.find(reinterpret_cast<file*>(of)->path);
    if (at != shared().files.end()) covered.emplace(std::move(at->second));
    if (covered) shared().files.erase(at);
  }
  return beneath(of)->pMethods->xSync(beneath(of), flags);
}

int file_size(sqlite3_file* of, sqlite3_int64* size) {
  return beneath(of)->pMethods->xFileSize(beneath(of), size);
}
int lock_file(sqlite3_file* of, int level) {
  return beneath(of)->pMethods->xLock(beneath(of), level);
}
int unlock_file(sqlite3_file* of, int level) {
  return beneath(of)->pMethods->xUnlock(beneath(of), level);
}
int check_reserved(sqlite3_file* of, int* out) {
  return beneath(of)->pMethods->xCheckReservedLock(beneath(of), out);
}
int control(sqlite3_file* of, int what, void* argument) {
  return beneath(of)->pMethods->xFileControl(beneath(of), what, argument);
}
int sector_size(sqlite3_file* of) { return beneath(of)->pMethods->xSectorSize(beneath(of)); }
int characteristics(sqlite3_file* of) {
  return beneath(of)->pMethods->xDeviceCharacteristics(beneath(of));
}
int shm_map(sqlite3_file* of, int page, int size, int extend, volatile void** out) {
  return beneath(of)->pMethods->xShmMap(beneath(of), page, size, extend, out);
}
int shm_lock(sqlite3_file* of, int offset, int count, int flags) {
  return beneath(of)->pMethods->xShmLock(beneath(of), offset, count, flags);
}
void shm_barrier(sqlite3_file* of) { beneath(of)->pMethods->xShmBarrier(beneath(of)); }
int shm_unmap(sqlite3_file* of, int remove) {
  return beneath(of)->pMethods->xShmUnmap(beneath(of), remove);
}

const sqlite3_io_methods methods{
    2,         close_file,  read_file,      write_file, truncate_file, sync_file,       file_size,
    lock_file, unlock_file, check_reserved, control,    sector_size,   characteristics, shm_map,
    shm_lock,  shm_barrier, shm_unmap,      nullptr,    nullptr};

sqlite3_vfs* base() { return sqlite3_vfs_find("unix-excl"); }

int open_file(sqlite3_vfs*, const char* path, sqlite3_file* of, int flags, int* out_flags) {
  auto* made = reinterpret_cast<file*>(of);
  std::memset(static_cast<void*>(made), 0, sizeof *made);
  made->beneath = reinterpret_cast<sqlite3_file*>(made + 1);
  std::strncpy(made->path, path != nullptr ? path : "", sizeof made->path - 1);
  const int code = base()->xOpen(base(), path, made->beneath, flags, out_flags);
  if (made->beneath->pMethods != nullptr) made->base.pMethods = &methods;
  return code;
}

}  // namespace

const std::string& name() {
  static const std::string registered = [] {
    static sqlite3_vfs ours = *base();
    ours.szOsFile = static_cast<int>(sizeof(file)) + base()->szOsFile;
    ours.zName = "millrace-fault";
    ours.xOpen = open_file;
    ours.pNext = nullptr;
    MILLRACE_ASSERT(sqlite3_vfs_register(&ours, 0) == SQLITE_OK);
    return std::string(ours.zName);
  }();
  return registered;
}

void arm(const plan& what) {
  const std::lock_guard lock(shared().mutex);
  shared().armed = what;
  shared().seen = 0;
  shared().failures = 0;
}

void disarm() {
  const std::lock_guard lock(shared().mutex);
  shared().armed.operations = 0;
}

std::uint64_t failures() {
  const std::lock_guard lock(shared().mutex);
  return shared().failures;
}

std::uint64_t seen() {
  const std::lock_guard lock(shared().mutex);
  return shared().seen;
}

void watch_unsynced() {
  const std::lock_guard lock(shared().mutex);
  shared().watching = true;
  shared().files.clear();
}

void copy_after_power_loss(const std::filesystem::path& from, const std::filesystem::path& to,
                           std::mt19937_64& chance) {
  std::filesystem::copy(from, to);
  const std::lock_guard lock(shared().mutex);
  for (const auto& [path, lost] : shared().files) {
    const std::filesystem::path copy = to / std::filesystem::path(path).filename();
    if (std::filesystem::path(path).parent_path() != from || !std::filesystem::exists(copy)) {
      continue;
    }
    // All, none, or each by chance.
    const auto kept_of_ten = std::array<std::uint64_t, 4>{0, 10, 5, 9}[chance() % 4];
    std::fstream out(copy, std::ios::in | std::ios::out | std::ios::binary);
    for (const auto& [at, content] : lost.before) {
      if (chance() % 10 < kept_of_ten) continue;
      out.seekp(static_cast<std::streamoff>(at * sector_bytes));
      out.write(content.data(), sector_bytes);
    }
    out.close();
    if (lost.size_before && kept_of_ten == 0) {
      std::filesystem::resize_file(copy, static_cast<std::uintmax_t>(*lost.size_before));
    }
  }
}

}  // namespace millrace::embedded::fault_vfs
