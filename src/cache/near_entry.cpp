#include "near_entry.hpp"

#include <millrace/base/assert.hpp>
#include <millrace/cache/entry_limits.hpp>
#include <millrace/secrets/secret_bytes.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace millrace::cache {
namespace {

// Behind the value: the tags, each behind a byte with its length; then this.
struct trailer {
  std::int64_t created_at{0};
  std::int64_t expires_at{0};
  std::int64_t stale_until{0};
  std::uint32_t tag_bytes{0};
};

}  // namespace

near_name::near_name(std::string_view project, std::string_view key) noexcept
    : size_(project.size() + 1 + key.size()) {
  MILLRACE_ASSERT(fits(project, key));
  std::ranges::copy(project, text_.begin());
  text_[project.size()] = '/';
  std::ranges::copy(key, text_.begin() + static_cast<std::ptrdiff_t>(project.size() + 1));
}

std::string near_tag(std::string_view project, std::string_view tag) {
  std::string out;
  out.reserve(project.size() + 1 + tag.size());
  return out.append(project).append(1, '/').append(tag);
}

cached_value pack_near(const engine::cache_key& at, const engine::cache_entry& what,
                       timestamp taken, timestamp store_now, duration outage_for,
                       const near_terms& terms) {
  if (what.content_type.size() > content_type_bytes_max) return {};
  static_assert(engine::cache_tags_max + 1 <= entry_tags_max);
  std::array<tag_id, engine::cache_tags_max + 1> tags{};
  std::size_t count = 0;
  tags[count++] = to_tag_id(near_tag(at.project, near_all_tag));
  std::string data;
  data.reserve(what.value.size() + what.tags.size() * 32 + sizeof(trailer));
  data = what.value;
  for (const std::string& tag : what.tags) {
    MILLRACE_ASSERT(count < tags.size() && tag.size() < 256);
    tags[count++] = to_tag_id(near_tag(at.project, tag));
    data.push_back(static_cast<char>(static_cast<unsigned char>(tag.size())));
    data.append(tag);
  }
  const trailer end{.created_at = to_micros(what.created_at),
                    .expires_at = to_micros(what.expires_at),
                    .stale_until = to_micros(what.stale_until),
                    .tag_bytes = static_cast<std::uint32_t>(data.size() - what.value.size())};
  std::array<char, sizeof end> bytes{};
  std::memcpy(bytes.data(), &end, sizeof end);
  data.append(bytes.data(), bytes.size());
  const near_name name(at.project, at.key);
  cached_value made = cached_value::make(name.text(),
                                         {.version = what.version,
                                          .created_at = taken + (what.created_at - store_now),
                                          .expires_at = taken + (what.expires_at - store_now),
                                          .stale_for = what.stale_until - what.expires_at,
                                          .outage_for = outage_for,
                                          .sensitive = terms.sensitive,
                                          .group = terms.group},
                                         what.content_type, data, {tags.data(), count});
  if (terms.sensitive) secrets::wipe(data);
  return made;
}

engine::cache_entry unpack_near(const cached_value& kept, bool stale) {
  std::string_view data = kept.data();
  trailer end;
  MILLRACE_ASSERT(data.size() >= sizeof end);
  std::memcpy(&end, data.data() + data.size() - sizeof end, sizeof end);
  data.remove_suffix(sizeof end);
  MILLRACE_ASSERT(data.size() >= end.tag_bytes);
  std::string_view tags = data.substr(data.size() - end.tag_bytes);
  data.remove_suffix(end.tag_bytes);
  engine::cache_entry out{.value = std::string{data},
                          .content_type = std::string{kept.content_type()},
                          .version = kept.version(),
                          .created_at = from_micros(end.created_at),
                          .expires_at = from_micros(end.expires_at),
                          .stale_until = from_micros(end.stale_until),
                          .stale = stale};
  while (!tags.empty()) {
    const std::size_t bytes = static_cast<unsigned char>(tags.front());
    out.tags.emplace_back(tags.substr(1, bytes));
    tags.remove_prefix(1 + bytes);
  }
  return out;
}

}  // namespace millrace::cache
