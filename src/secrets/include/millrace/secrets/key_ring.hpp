#pragma once

#include <millrace/base/error.hpp>
#include <millrace/secrets/secret_bytes.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::secrets {

/// Keys of one ring, the newest included: old ones only read.
inline constexpr std::size_t ring_keys_max = 16;

/// The keys that values are encrypted with: the first one writes, all of them read.
///
/// Rotation: put the new key in front and keep the old ones until what they wrote has expired.
///
/// Guarantees: a value is read only with the key that wrote it, for the cache key it was written
///             under, with all that is said about it (XChaCha20-Poly1305). No message shows a key.
/// Threading:  nothing changes after `parse`; used from any thread.
class key_ring final {
public:
  static constexpr std::size_t key_bytes = 32;
  static constexpr std::size_t nonce_bytes = 24;
  static constexpr std::size_t seal_bytes = 16;

  /// Reads keys from a variable or a file: one a line or separated by commas, the newest first,
  /// each 32 bytes as 64 hexadecimal digits or as base64. Empty lines, and those with `#`, are
  /// passed over. `setting` is what errors name. Errors: invalid_argument (none, too many, one that
  /// is no key, one twice).
  [[nodiscard]] static result<key_ring> parse(std::string_view text, std::string_view setting);
  /// A new key, as `parse` reads it.
  [[nodiscard]] static std::string generate();

  [[nodiscard]] std::size_t size() const noexcept { return keys_.size(); }
  /// The number that the newest key goes by in what it writes: derived from the key, telling
  /// nothing about it.
  [[nodiscard]] std::uint64_t newest() const noexcept { return keys_.front().id; }
  [[nodiscard]] bool has(std::uint64_t id) const noexcept { return find(id) != nullptr; }

  /// Appends a nonce and the sealed bytes, encrypted with the newest key and bound to `context`.
  void seal(std::string_view plain, std::string_view context, std::string& into) const;
  /// Opens what `seal` appended. None where the key is not here, or anything was changed.
  [[nodiscard]] std::optional<secret_bytes> open(std::uint64_t id, std::string_view sealed,
                                                 std::string_view context) const;

private:
  struct one_key {
    std::uint64_t id{0};
    secret_bytes bytes;
  };

  [[nodiscard]] const one_key* find(std::uint64_t id) const noexcept;

  std::vector<one_key> keys_;
};

}  // namespace millrace::secrets
