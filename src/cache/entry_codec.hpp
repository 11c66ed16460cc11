#pragma once

#include <millrace/base/error.hpp>
#include <millrace/cache/envelope.hpp>
#include <millrace/cache/family.hpp>
#include <millrace/engine/cache_steps.hpp>

#include <optional>
#include <string_view>

/// Between a value as callers know it and as it lies in the store. Only what is compressed or
/// encrypted lies there as an envelope, with a content type of its own; all else as it was put.
namespace millrace::cache {

/// Marks an envelope in the store. No value is put with it.
inline constexpr std::string_view sealed_type = "application/vnd.millrace.sealed";

/// `of` is null for keys of no family, `ring` where there are no keys.
/// Errors: invalid_argument (content_type: reserved, or too long for an envelope).
[[nodiscard]] result<void> seal_entry(engine::put_cache& what, const family_spec* of,
                                      const key_ring* ring);

/// What is there as it was put, or why it cannot be read. In an encrypted family only what was
/// encrypted is believed.
[[nodiscard]] std::optional<envelope_fault> open_entry(std::string_view key,
                                                       engine::cache_entry& what,
                                                       const family_spec* of, const key_ring* ring);

}  // namespace millrace::cache
