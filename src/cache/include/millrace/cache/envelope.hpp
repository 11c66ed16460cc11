#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/cache/entry_limits.hpp>
#include <millrace/secrets/key_ring.hpp>
#include <millrace/secrets/secret_bytes.hpp>

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::cache {

using secrets::key_ring;
using secrets::secret_bytes;

/// What an entry says about itself, in the store.
struct envelope_facts {
  std::uint64_t version{0};
  timestamp created_at{};
  timestamp expires_at{};
  /// What loading it took: the costlier, the earlier it is renewed. At most 71 minutes are kept.
  duration load_time{0};
  /// The answer is that there is none; the data are empty.
  bool negative{false};

  friend bool operator==(const envelope_facts&, const envelope_facts&) = default;
};

struct envelope_options {
  /// Data of at least so many bytes are compressed, where that makes them smaller. None: never.
  std::optional<std::size_t> compress_above{};
  /// Encrypts with its newest key. Null: not encrypted.
  const key_ring* ring{nullptr};
};

/// Why an entry cannot be read. Each is a miss that is counted; none is an error of the caller.
enum class envelope_fault : std::uint8_t {
  /// Other bytes: written by somebody else.
  foreign,
  /// Of a later format: written by a newer version of this program.
  newer,
  /// Cut, or its parts contradict each other.
  damaged,
  /// Encrypted with a key that is not in the ring.
  unknown_key,
  /// Changed, or written under another key of the cache.
  forged,
  /// It would unpack to more than is allowed.
  too_large,
};

[[nodiscard]] std::string_view to_string(envelope_fault fault) noexcept;

/// An entry that was read.
struct opened_envelope {
  envelope_facts facts;
  /// These two point into what was opened, or into `unpacked`.
  std::string_view content_type;
  std::string_view data;
  /// It was encrypted: whoever copies the data has to wipe the copy.
  bool sensitive{false};
  secret_bytes unpacked;
};

/// Writes an entry for the store. The sizes are checked before, where they come in.
///
/// Format 1, numbers from the low byte: `m` `c` 1 and one byte of marks (1 compressed, 2 encrypted,
/// 4 negative); version (8), created and expires in microseconds (8 each), load time in
/// microseconds (4), bytes of the data (4); the content type behind its length (1); where encrypted
/// the number of the key (8) and a nonce (24); then the data, compressed by zstd and then encrypted
/// as marked. An encrypted one covers all before it and the key of the cache.
[[nodiscard]] std::string seal_envelope(std::string_view key, const envelope_facts& facts,
                                        std::string_view content_type, std::string_view data,
                                        const envelope_options& options);

/// Reads an entry of the store, whatever bytes are there. `ring` is null where there are no keys.
[[nodiscard]] std::expected<opened_envelope, envelope_fault> open_envelope(
    std::string_view key, std::string_view bytes, const key_ring* ring,
    std::size_t data_bytes_max = envelope_value_bytes_max);

}  // namespace millrace::cache
