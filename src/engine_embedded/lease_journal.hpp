#pragma once

#include <millrace/base/error.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

namespace millrace::embedded {

/// A lease as the journal keeps it.
struct journaled_lease {
  std::uint64_t id{0};
  std::uint64_t token{0};
  std::int64_t started_at{0};
  std::int64_t length{0};
  std::uint32_t attempts{0};

  friend bool operator==(const journaled_lease&, const journaled_lease&) = default;
};

/// The file `leases`: who runs what, kept by plain stores into mapped memory, so that granting and
/// ending a lease costs no system call. It survives the death of the process. A power loss may cost
/// any part of it: a slot that is torn or old is told by its checksum, and by a token that is not
/// greater than the one in the job's row; its job is then simply available.
///
/// Threading: none of its own.
/// Errors:    storage_full, forbidden, corrupted. Room is taken from the disk before it is used, so
///            that a full disk is an error here and not a signal at the store.
class lease_journal final {
public:
  [[nodiscard]] static result<std::unique_ptr<lease_journal>> open(
      const std::filesystem::path& file);
  ~lease_journal();
  lease_journal(const lease_journal&) = delete;
  lease_journal& operator=(const lease_journal&) = delete;

  /// What was there at open. Slots that do not read as a lease are free.
  void for_each(const std::function<void(std::uint32_t slot, const journaled_lease&)>& visit) const;

  /// Afterwards `count` slots can be taken.
  [[nodiscard]] result<void> reserve(std::size_t count);
  /// Requires: a slot is free.
  [[nodiscard]] std::uint32_t take();
  void give_back(std::uint32_t slot);

  void write(std::uint32_t slot, const journaled_lease& what);
  void clear(std::uint32_t slot);

  [[nodiscard]] result<void> sync();
  [[nodiscard]] std::size_t capacity() const noexcept { return slots_; }

private:
  struct slot_format;

  lease_journal(int file, std::filesystem::path path);
  [[nodiscard]] result<void> grow(std::size_t slots);
  [[nodiscard]] slot_format* at(std::uint32_t slot) const;

  int file_;
  std::filesystem::path path_;
  std::byte* mapped_{nullptr};
  std::size_t slots_{0};
  std::vector<std::uint32_t> free_;
};

}  // namespace millrace::embedded
