#include <millrace/cache/cached_value.hpp>

#include "text_hash.hpp"

#include <millrace/base/assert.hpp>
#include <millrace/cache/entry_limits.hpp>
#include <millrace/secrets/secret_bytes.hpp>

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>

namespace millrace::cache {

namespace {

// Later than anything a clock of ours says, early enough that windows can be added to it.
constexpr std::int64_t latest_micros = std::int64_t{1} << 53;

std::uint32_t to_millis(duration span) noexcept {
  const auto millis = std::chrono::floor<std::chrono::milliseconds>(span).count();
  return static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(millis, 0, std::int64_t{std::numeric_limits<std::uint32_t>::max()}));
}

char* append(char* at, std::string_view text) noexcept {
  if (!text.empty()) std::memcpy(at, text.data(), text.size());
  return at + text.size();
}

}  // namespace

tag_id to_tag_id(std::string_view tag) noexcept { return tag_id{text_hash(tag, 0)}; }

cached_value cached_value::make(std::string_view key, const value_facts& facts,
                                std::string_view content_type, std::string_view data,
                                std::span<const tag_id> tags) {
  MILLRACE_ASSERT(key.size() <= local_key_bytes_max);
  MILLRACE_ASSERT(content_type.size() <= content_type_bytes_max);
  MILLRACE_ASSERT(tags.size() <= entry_tags_max);
  MILLRACE_ASSERT(data.size() <= std::numeric_limits<std::uint32_t>::max());
  block head;
  head.data_bytes = static_cast<std::uint32_t>(data.size());
  head.key_bytes = static_cast<std::uint16_t>(key.size());
  head.type_bytes = static_cast<std::uint8_t>(content_type.size());
  head.tag_count = static_cast<std::uint8_t>(tags.size());
  void* memory = ::operator new(block_bytes(head));
  auto* made = new (memory) block;
  made->data_bytes = head.data_bytes;
  made->key_bytes = head.key_bytes;
  made->type_bytes = head.type_bytes;
  made->tag_count = head.tag_count;
  made->version = facts.version;
  made->created_at = to_micros(facts.created_at);
  made->expires_at = std::min(to_micros(facts.expires_at), latest_micros);
  made->stale_ms = to_millis(facts.stale_for);
  made->outage_ms = to_millis(facts.outage_for);
  made->sensitive = facts.sensitive;
  made->group = facts.group;
  auto* at = reinterpret_cast<char*>(made + 1);
  if (!tags.empty()) std::memcpy(at, tags.data(), tags.size_bytes());
  append(append(append(at + tags.size_bytes(), key), content_type), data);
  return cached_value(made);
}

std::size_t cached_value::memory_bytes() const noexcept {
  // glibc gives multiples of 16 and keeps 8 of them.
  return (block_bytes(*block_) + 8 + 15) / 16 * 16;
}

void cached_value::destroy(block* last) noexcept {
  const std::size_t bytes = block_bytes(*last);
  if (last->sensitive) {
    secrets::wipe({reinterpret_cast<char*>(last + 1), bytes - sizeof(block)});
  }
  last->~block();
  ::operator delete(last, bytes);
}

}  // namespace millrace::cache
