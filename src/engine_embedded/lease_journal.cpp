#include "lease_journal.hpp"

#include <millrace/base/assert.hpp>

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace millrace::embedded {
namespace {

// The first slot of the file says what it is.
constexpr std::array<char, 16> magic{'m', 'i', 'l', 'l', 'r', 'a', 'c', 'e',
                                     ' ', 'l', 'e', 'a', 's', 'e', 's', '1'};
constexpr std::size_t slot_bytes = 64;
constexpr std::size_t slots_min = 1023;

error file_error(const char* what, const std::filesystem::path& path, int native) {
  const bool full = native == ENOSPC || native == EDQUOT || native == EFBIG;
  return {full ? errc::storage_full : errc::unavailable,
          full ? "storage_full" : "storage_error",
          fmt::format("{} {}: {}", what, path.string(), std::strerror(native)),
          "",
          {}};
}

// FNV-1a over the words: enough to tell a torn slot from a whole one.
std::uint64_t checksum_of(const journaled_lease& what) {
  std::uint64_t sum = 0xcbf29ce484222325U;
  for (const std::uint64_t word :
       {what.id, what.token, static_cast<std::uint64_t>(what.started_at),
        static_cast<std::uint64_t>(what.length), std::uint64_t{what.attempts}}) {
    sum = (sum ^ word) * 0x100000001b3U;
    sum ^= sum >> 29U;
  }
  return sum;
}

}  // namespace

struct lease_journal::slot_format {
  // 0 while the slot is free. Written last, cleared first.
  std::uint64_t id;
  std::uint64_t token;
  std::int64_t started_at;
  std::int64_t length;
  std::uint64_t attempts;
  std::uint64_t checksum;
  std::array<std::uint64_t, 2> unused;
};

lease_journal::lease_journal(int file, std::filesystem::path path)
    : file_(file), path_(std::move(path)) {
  static_assert(sizeof(slot_format) == slot_bytes);
}

lease_journal::~lease_journal() {
  if (mapped_ != nullptr) ::munmap(mapped_, (slots_ + 1) * slot_bytes);
  ::close(file_);
}

result<std::unique_ptr<lease_journal>> lease_journal::open(const std::filesystem::path& file) {
  const int handle = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (handle < 0) return std::unexpected(file_error("Cannot open", file, errno));
  std::unique_ptr<lease_journal> out(new lease_journal(handle, file));
  struct stat found{};
  if (::fstat(handle, &found) != 0) {
    return std::unexpected(file_error("Cannot look at", file, errno));
  }
  const auto bytes = static_cast<std::size_t>(found.st_size);
  if (result<void> grown = out->grow(std::max(slots_min, bytes / slot_bytes)); !grown) {
    return std::unexpected(std::move(grown.error()));
  }
  const bool fresh = bytes < slot_bytes || out->mapped_[0] == std::byte{0};
  if (fresh) {
    std::memcpy(out->mapped_, magic.data(), magic.size());
  } else if (std::memcmp(out->mapped_, magic.data(), magic.size()) != 0) {
    return fail(errc::corrupted, "database_corrupt",
                fmt::format("{} is not a lease journal of this version. Delete it: running jobs "
                            "become available again.",
                            file.string()));
  }
  return out;
}

result<void> lease_journal::grow(std::size_t slots) {
  const std::size_t bytes = (slots + 1) * slot_bytes;
  const int native = ::posix_fallocate(file_, 0, static_cast<off_t>(bytes));
  if (native != 0) return std::unexpected(file_error("Cannot enlarge", path_, native));
  void* mapped = mapped_ == nullptr
                     ? ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0)
                     : ::mremap(mapped_, (slots_ + 1) * slot_bytes, bytes, MREMAP_MAYMOVE);
  if (mapped == MAP_FAILED) return std::unexpected(file_error("Cannot map", path_, errno));
  mapped_ = static_cast<std::byte*>(mapped);
  // Taken from the back: the first of the new slots is used first.
  for (std::size_t slot = slots; slot-- > slots_;) {
    if (at(static_cast<std::uint32_t>(slot))->id == 0) {
      free_.push_back(static_cast<std::uint32_t>(slot));
    }
  }
  slots_ = slots;
  return {};
}

lease_journal::slot_format* lease_journal::at(std::uint32_t slot) const {
  return reinterpret_cast<slot_format*>(mapped_ + (std::size_t{slot} + 1) * slot_bytes);
}

void lease_journal::for_each(
    const std::function<void(std::uint32_t slot, const journaled_lease&)>& visit) const {
  for (std::uint32_t slot = 0; slot < slots_; ++slot) {
    const slot_format& from = *at(slot);
    const journaled_lease found{.id = from.id,
                                .token = from.token,
                                .started_at = from.started_at,
                                .length = from.length,
                                .attempts = static_cast<std::uint32_t>(from.attempts)};
    if (found.id != 0) visit(slot, from.checksum == checksum_of(found) ? found : journaled_lease{});
  }
}

result<void> lease_journal::reserve(std::size_t count) {
  if (free_.size() >= count) return {};
  std::size_t wanted = slots_ * 2 + 1;
  while (wanted - slots_ + free_.size() < count) wanted = wanted * 2 + 1;
  return grow(wanted);
}

std::uint32_t lease_journal::take() {
  MILLRACE_ASSERT(!free_.empty());
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  return slot;
}

void lease_journal::give_back(std::uint32_t slot) { free_.push_back(slot); }

void lease_journal::write(std::uint32_t slot, const journaled_lease& what) {
  slot_format& to = *at(slot);
  to.token = what.token;
  to.started_at = what.started_at;
  to.length = what.length;
  to.attempts = what.attempts;
  to.checksum = checksum_of(what);
  // The process may be killed between any two of these stores: a slot without an id is free.
  std::atomic_ref(to.id).store(what.id, std::memory_order_release);
}

void lease_journal::clear(std::uint32_t slot) {
  std::atomic_ref(at(slot)->id).store(0, std::memory_order_release);
}

result<void> lease_journal::sync() {
  if (::msync(mapped_, (slots_ + 1) * slot_bytes, MS_SYNC) != 0) {
    return std::unexpected(file_error("Cannot sync", path_, errno));
  }
  return {};
}

}  // namespace millrace::embedded
