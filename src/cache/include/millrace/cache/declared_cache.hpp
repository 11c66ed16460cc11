#pragma once

#include <millrace/base/error.hpp>
#include <millrace/cache/family_set.hpp>
#include <millrace/secrets/key_ring.hpp>

#include <optional>

namespace millrace::cache {

/// What is declared of a cache, once, at start: its families and rules, and the keys that encrypted
/// families are written with.
struct declared_cache {
  family_set families;
  std::optional<secrets::key_ring> keys{};

  [[nodiscard]] const secrets::key_ring* ring() const noexcept { return keys ? &*keys : nullptr; }
};

/// Errors: invalid_argument (missing_encryption_key) where a family encrypts and there is no key.
[[nodiscard]] result<void> check_declared(const declared_cache& what);

}  // namespace millrace::cache
