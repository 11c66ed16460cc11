#include "entry_codec.hpp"

#include <millrace/base/assert.hpp>
#include <millrace/cache/entry_limits.hpp>
#include <millrace/secrets/secret_bytes.hpp>

#include <fmt/format.h>

#include <string>
#include <utility>

namespace millrace::cache {

result<void> seal_entry(engine::put_cache& what, const family_spec* of, const key_ring* ring) {
  if (what.content_type == sealed_type) {
    return invalid("content_type",
                   fmt::format("content_type {} is reserved for what the cache has sealed itself.",
                               sealed_type));
  }
  if (of == nullptr) return {};
  const bool compresses = of->compress_above && what.value.size() >= *of->compress_above;
  if (!of->encrypt && !compresses) return {};
  // The store refuses it, and says why.
  if (what.value.size() > engine::cache_value_bytes_max) return {};
  if (what.content_type.size() > content_type_bytes_max) {
    return invalid("content_type",
                   fmt::format("content_type must be at most {} bytes in a family that compresses "
                               "or encrypts.",
                               content_type_bytes_max));
  }
  MILLRACE_ASSERT(!of->encrypt || ring != nullptr);
  std::string sealed =
      seal_envelope(what.at.key, {}, what.content_type, what.value,
                    {.compress_above = of->compress_above, .ring = of->encrypt ? ring : nullptr});
  if (!of->encrypt && sealed.size() >= what.value.size()) return {};
  if (of->encrypt) secrets::wipe(what.value);
  what.value = std::move(sealed);
  what.content_type = sealed_type;
  return {};
}

std::optional<envelope_fault> open_entry(std::string_view key, engine::cache_entry& what,
                                         const family_spec* of, const key_ring* ring) {
  const bool encrypts = of != nullptr && of->encrypt;
  if (what.content_type != sealed_type) {
    if (encrypts) return envelope_fault::foreign;
    return std::nullopt;
  }
  const auto opened = open_envelope(key, what.value, ring, engine::cache_value_bytes_max);
  if (!opened) return opened.error();
  if (encrypts && !opened->sensitive) return envelope_fault::foreign;
  // Both point into what they replace.
  std::string type(opened->content_type);
  std::string value(opened->data);
  what.content_type = std::move(type);
  what.value = std::move(value);
  return std::nullopt;
}

}  // namespace millrace::cache
