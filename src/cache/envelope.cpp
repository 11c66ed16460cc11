#include <millrace/cache/envelope.hpp>

#include <millrace/base/assert.hpp>

#include <zstd.h>

#include <algorithm>
#include <concepts>
#include <limits>
#include <memory>
#include <utility>

namespace millrace::cache {

namespace {

constexpr std::string_view magic = "mc";
constexpr unsigned char format = 1;
constexpr unsigned char compressed_mark = 1;
constexpr unsigned char encrypted_mark = 2;
constexpr unsigned char negative_mark = 4;
constexpr unsigned char all_marks = 7;
// Fast, and close to what higher levels reach on JSON.
constexpr int level = 1;
constexpr std::int64_t latest_micros = std::int64_t{1} << 53;

template <std::unsigned_integral Number>
void put(std::string& into, Number number) {
  for (std::size_t i = 0; i < sizeof(Number); ++i) {
    into += static_cast<char>(static_cast<unsigned char>(number & 0xff));
    if constexpr (sizeof(Number) > 1) number = static_cast<Number>(number >> 8);
  }
}

// Takes numbers and texts off the front; once something is missing, all that follows is empty.
class taker final {
public:
  explicit taker(std::string_view from) : rest_(from) {}

  template <std::unsigned_integral Number>
  Number number() noexcept {
    const std::string_view bytes = text(sizeof(Number));
    Number made = 0;
    for (std::size_t i = bytes.size(); i-- > 0;) {
      if constexpr (sizeof(Number) > 1) made = static_cast<Number>(made << 8);
      made = static_cast<Number>(made | static_cast<unsigned char>(bytes[i]));
    }
    return made;
  }
  std::string_view text(std::size_t size) noexcept {
    if (size > rest_.size()) {
      short_ = true;
      rest_ = {};
      return {};
    }
    return std::exchange(rest_, rest_.substr(size)).substr(0, size);
  }
  [[nodiscard]] std::string_view rest() const noexcept { return rest_; }
  [[nodiscard]] bool was_short() const noexcept { return short_; }

private:
  std::string_view rest_;
  bool short_{false};
};

struct freed {
  void operator()(ZSTD_CCtx* context) const noexcept { ::ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const noexcept { ::ZSTD_freeDCtx(context); }
};

// Making one costs more than using it on a small value.
ZSTD_CCtx* compressor() {
  thread_local const std::unique_ptr<ZSTD_CCtx, freed> own{::ZSTD_createCCtx()};
  MILLRACE_ASSERT(own != nullptr);
  return own.get();
}

ZSTD_DCtx* decompressor() {
  thread_local const std::unique_ptr<ZSTD_DCtx, freed> own{::ZSTD_createDCtx()};
  MILLRACE_ASSERT(own != nullptr);
  return own.get();
}

// None where it would not be smaller by a sixteenth.
std::optional<secret_bytes> compressed(std::string_view data) {
  secret_bytes made(::ZSTD_compressBound(data.size()));
  const std::size_t size = ::ZSTD_compressCCtx(compressor(), made.bytes().data(), made.size(),
                                               data.data(), data.size(), level);
  if (::ZSTD_isError(size) != 0 || size >= data.size() - data.size() / 16) return std::nullopt;
  secret_bytes exact(size);
  std::ranges::copy(made.bytes().first(size), exact.bytes().begin());
  return exact;
}

std::optional<secret_bytes> decompressed(std::string_view bytes, std::size_t size) {
  secret_bytes made(size);
  const std::size_t got = ::ZSTD_decompressDCtx(decompressor(), made.bytes().data(), made.size(),
                                                bytes.data(), bytes.size());
  if (::ZSTD_isError(got) != 0 || got != size) return std::nullopt;
  return made;
}

std::string head(const envelope_facts& facts, std::string_view content_type, std::size_t data_bytes,
                 unsigned char marks) {
  const auto micros = [](timestamp at) {
    return static_cast<std::uint64_t>(std::clamp<std::int64_t>(to_micros(at), 0, latest_micros));
  };
  std::string made(magic);
  put(made, format);
  put(made, marks);
  put(made, facts.version);
  put(made, micros(facts.created_at));
  put(made, micros(facts.expires_at));
  put(made, static_cast<std::uint32_t>(std::clamp<std::int64_t>(
                facts.load_time.count(), 0, std::numeric_limits<std::uint32_t>::max())));
  put(made, static_cast<std::uint32_t>(data_bytes));
  put(made, static_cast<unsigned char>(content_type.size()));
  made += content_type;
  return made;
}

std::string context_of(std::string_view head, std::string_view key) {
  std::string made(head);
  made += key;
  return made;
}

}  // namespace

std::string_view to_string(envelope_fault fault) noexcept {
  switch (fault) {
    case envelope_fault::foreign: return "foreign";
    case envelope_fault::newer: return "newer";
    case envelope_fault::damaged: return "damaged";
    case envelope_fault::unknown_key: return "unknown_key";
    case envelope_fault::forged: return "forged";
    case envelope_fault::too_large: return "too_large";
  }
  return "damaged";
}

std::string seal_envelope(std::string_view key, const envelope_facts& facts,
                          std::string_view content_type, std::string_view data,
                          const envelope_options& options) {
  MILLRACE_ASSERT(content_type.size() <= content_type_bytes_max);
  MILLRACE_ASSERT(data.size() <= envelope_value_bytes_max);
  MILLRACE_ASSERT(!facts.negative || data.empty());
  std::optional<secret_bytes> smaller;
  if (options.compress_above && !data.empty() && data.size() >= *options.compress_above) {
    smaller = compressed(data);
  }
  unsigned char marks = facts.negative ? negative_mark : 0;
  if (smaller) marks |= compressed_mark;
  if (options.ring != nullptr) marks |= encrypted_mark;
  const std::string_view body = smaller ? smaller->text() : data;
  std::string made = head(facts, content_type, data.size(), marks);
  if (options.ring == nullptr) {
    made += body;
    return made;
  }
  put(made, options.ring->newest());
  options.ring->seal(body, context_of(made, key), made);
  return made;
}

std::expected<opened_envelope, envelope_fault> open_envelope(std::string_view key,
                                                             std::string_view bytes,
                                                             const key_ring* ring,
                                                             std::size_t data_bytes_max) {
  taker from(bytes);
  if (from.text(magic.size()) != magic) return std::unexpected(envelope_fault::foreign);
  const auto version = from.number<unsigned char>();
  const auto marks = from.number<unsigned char>();
  if (from.was_short()) return std::unexpected(envelope_fault::damaged);
  if (version == 0) return std::unexpected(envelope_fault::foreign);
  if (version > format || (marks & ~all_marks) != 0) return std::unexpected(envelope_fault::newer);

  opened_envelope made;
  made.facts.version = from.number<std::uint64_t>();
  const auto created = from.number<std::uint64_t>();
  const auto expires = from.number<std::uint64_t>();
  made.facts.load_time = duration{from.number<std::uint32_t>()};
  const std::size_t size = from.number<std::uint32_t>();
  made.content_type = from.text(from.number<unsigned char>());
  made.facts.negative = (marks & negative_mark) != 0;
  made.sensitive = (marks & encrypted_mark) != 0;
  const std::uint64_t id = made.sensitive ? from.number<std::uint64_t>() : 0;
  constexpr auto latest = static_cast<std::uint64_t>(latest_micros);
  if (from.was_short() || created > latest || expires > latest ||
      made.content_type.size() > content_type_bytes_max || (made.facts.negative && size > 0)) {
    return std::unexpected(envelope_fault::damaged);
  }
  if (size > data_bytes_max) return std::unexpected(envelope_fault::too_large);
  made.facts.created_at = from_micros(static_cast<std::int64_t>(created));
  made.facts.expires_at = from_micros(static_cast<std::int64_t>(expires));

  made.data = from.rest();
  if (made.sensitive) {
    if (ring == nullptr || !ring->has(id)) return std::unexpected(envelope_fault::unknown_key);
    const std::string_view covered = bytes.substr(0, bytes.size() - from.rest().size());
    auto plain = ring->open(id, from.rest(), context_of(covered, key));
    if (!plain) return std::unexpected(envelope_fault::forged);
    made.unpacked = std::move(*plain);
    made.data = made.unpacked.text();
  }
  if ((marks & compressed_mark) != 0) {
    auto whole = decompressed(made.data, size);
    if (!whole) return std::unexpected(envelope_fault::damaged);
    made.unpacked = std::move(*whole);
    made.data = made.unpacked.text();
  }
  if (made.data.size() != size) return std::unexpected(envelope_fault::damaged);
  return made;
}

}  // namespace millrace::cache
