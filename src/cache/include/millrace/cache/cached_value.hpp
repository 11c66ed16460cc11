#pragma once

#include <millrace/base/clock.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

namespace millrace::cache {

/// A tag as entries remember it: two tags of one number are invalidated together.
enum class tag_id : std::uint64_t {};

/// The number of a tag, the same in every process.
[[nodiscard]] tag_id to_tag_id(std::string_view tag) noexcept;

/// What is known about a value besides its bytes.
struct value_facts {
  /// Grows with every write of the key, as the store counts.
  std::uint64_t version{0};
  timestamp created_at{};
  /// Fresh before this moment.
  timestamp expires_at{};
  /// How long it may be served, marked stale, after `expires_at`. Zero: not at all. Kept in
  /// milliseconds, at most 49 days.
  duration stale_for{0};
  /// How long it may be served, marked stale, after its store was lost. Zero: not at all.
  duration outage_for{0};
  /// Its bytes are overwritten when the last one lets go of it.
  bool sensitive{false};
  /// What it is counted with; see `local_cache::groups`.
  std::uint16_t group{0};
};

class local_table;

/// An entry of the cache with its key, tags and bytes: one block of memory that everybody shares
/// and nobody changes.
///
/// Threading: copies may be used and dropped anywhere; one object by one thread at a time.
/// Cost:      making one is one allocation; a copy is one atomic step. 48 bytes besides its
/// contents.
class cached_value final {
public:
  /// Holds nothing.
  cached_value() noexcept = default;
  /// Copies what it is given. The sizes are checked before, where they come in: a key of at most
  /// 768 bytes, a content type of 127, 32 tags, below 4 GiB of data.
  [[nodiscard]] static cached_value make(std::string_view key, const value_facts& facts,
                                         std::string_view content_type, std::string_view data,
                                         std::span<const tag_id> tags = {});

  cached_value(const cached_value& other) noexcept : block_(other.block_) {
    if (block_ != nullptr) block_->holders.fetch_add(1, std::memory_order_relaxed);
  }
  cached_value(cached_value&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  cached_value& operator=(cached_value other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~cached_value() {
    if (block_ != nullptr) release(block_);
  }

  explicit operator bool() const noexcept { return block_ != nullptr; }

  // None of these may be asked of one that holds nothing.
  [[nodiscard]] std::string_view key() const noexcept { return key_of(*block_); }
  [[nodiscard]] std::string_view content_type() const noexcept {
    return text(block_->key_bytes, block_->type_bytes);
  }
  [[nodiscard]] std::string_view data() const noexcept {
    return text(block_->key_bytes + std::size_t{block_->type_bytes}, block_->data_bytes);
  }
  [[nodiscard]] std::span<const tag_id> tags() const noexcept {
    return {reinterpret_cast<const tag_id*>(block_ + 1), block_->tag_count};
  }
  [[nodiscard]] std::uint64_t version() const noexcept { return block_->version; }
  [[nodiscard]] timestamp created_at() const noexcept { return from_micros(block_->created_at); }
  [[nodiscard]] timestamp expires_at() const noexcept { return from_micros(block_->expires_at); }
  [[nodiscard]] duration stale_for() const noexcept {
    return std::chrono::milliseconds{block_->stale_ms};
  }
  [[nodiscard]] duration outage_for() const noexcept {
    return std::chrono::milliseconds{block_->outage_ms};
  }
  [[nodiscard]] std::uint16_t group() const noexcept { return block_->group; }
  /// The bytes of memory that the block takes, with the allocator's.
  [[nodiscard]] std::size_t memory_bytes() const noexcept;

private:
  friend class local_table;

  // Behind it lie the tags, the key, the content type and the data, in this order.
  struct block {
    std::atomic<std::uint32_t> holders{1};
    std::uint32_t data_bytes{0};
    std::uint64_t version{0};
    std::int64_t created_at{0};
    std::int64_t expires_at{0};
    std::uint32_t stale_ms{0};
    std::uint32_t outage_ms{0};
    std::uint16_t key_bytes{0};
    std::uint8_t type_bytes{0};
    std::uint8_t tag_count{0};
    bool sensitive{false};
    std::uint16_t group{0};
  };
  static_assert(sizeof(block) == 48 && alignof(block) == alignof(tag_id));

  explicit cached_value(block* owned) noexcept : block_(owned) {}
  [[nodiscard]] static cached_value shared(block& held) noexcept {
    held.holders.fetch_add(1, std::memory_order_relaxed);
    return cached_value(&held);
  }
  static void release(block* held) noexcept {
    if (held->holders.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy(held);
  }
  static void destroy(block* last) noexcept;
  [[nodiscard]] static std::size_t block_bytes(const block& of) noexcept {
    return sizeof(block) + of.tag_count * sizeof(tag_id) + of.key_bytes + of.type_bytes +
           of.data_bytes;
  }
  // Keys come after the tags.
  [[nodiscard]] static std::string_view key_of(const block& of) noexcept {
    return {reinterpret_cast<const char*>(&of + 1) + of.tag_count * sizeof(tag_id), of.key_bytes};
  }
  [[nodiscard]] std::string_view text(std::size_t from, std::size_t bytes) const noexcept {
    const auto* begin = reinterpret_cast<const char*>(block_ + 1);
    return {begin + block_->tag_count * sizeof(tag_id) + from, bytes};
  }

  block* block_{nullptr};
};

}  // namespace millrace::cache
