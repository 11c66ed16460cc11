#include <millrace/secrets/key_ring.hpp>

#include <millrace/base/assert.hpp>

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace millrace::secrets {

namespace {

static_assert(key_ring::key_bytes == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);
static_assert(key_ring::nonce_bytes == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES);
static_assert(key_ring::seal_bytes == crypto_aead_xchacha20poly1305_ietf_ABYTES);

void ready() {
  static const bool started = ::sodium_init() >= 0;
  MILLRACE_ASSERT(started);
}

const unsigned char* raw(std::string_view text) noexcept {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::uint64_t id_of(const secret_bytes& key) {
  constexpr std::string_view purpose = "millrace cache key id";
  std::array<unsigned char, crypto_generichash_BYTES_MIN> hash{};
  ::crypto_generichash(hash.data(), hash.size(), raw(purpose), purpose.size(), key.bytes().data(),
                       key.size());
  std::uint64_t id = 0;
  std::memcpy(&id, hash.data(), sizeof(id));
  return id;
}

std::optional<secret_bytes> read_key(std::string_view text) {
  secret_bytes key(key_ring::key_bytes);
  std::size_t size = 0;
  const char* end = nullptr;
  const bool hexadecimal = text.size() == 2 * key_ring::key_bytes;
  const auto read = [&](int variant) {
    return ::sodium_base642bin(key.bytes().data(), key.size(), text.data(), text.size(), nullptr,
                               &size, &end, variant);
  };
  int wrong = 0;
  if (hexadecimal) {
    wrong = ::sodium_hex2bin(key.bytes().data(), key.size(), text.data(), text.size(), nullptr,
                             &size, &end);
  } else {
    wrong = read(sodium_base64_VARIANT_ORIGINAL);
    if (wrong != 0) wrong = read(sodium_base64_VARIANT_URLSAFE);
  }
  if (wrong != 0 || size != key.size() || end != text.data() + text.size()) return std::nullopt;
  return key;
}

std::string_view trimmed(std::string_view text) noexcept {
  constexpr std::string_view blank = " \t\r";
  const std::size_t from = text.find_first_not_of(blank);
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(blank) - from + 1);
}

}  // namespace

result<key_ring> key_ring::parse(std::string_view text, std::string_view setting) {
  ready();
  key_ring made;
  std::size_t place = 0;
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t end = std::min(text.find_first_of("\n,", from), text.size());
    const std::string_view line = trimmed(text.substr(from, end - from));
    from = end + 1;
    if (line.empty() || line.starts_with('#')) continue;
    ++place;
    auto key = read_key(line);
    if (!key) {
      return invalid(std::string(setting),
                     fmt::format("key {} is none: it is 32 bytes as 64 hexadecimal digits or as "
                                 "base64, as `openssl rand -base64 32` makes one",
                                 place),
                     "invalid_encryption_key");
    }
    const std::uint64_t id = id_of(*key);
    if (made.has(id)) {
      return invalid(std::string(setting),
                     fmt::format("key {} is there twice; take one out", place),
                     "invalid_encryption_key");
    }
    made.keys_.push_back({id, std::move(*key)});
  }
  if (made.keys_.empty()) {
    return invalid(std::string(setting),
                   "there is no key; make one with `openssl rand -base64 32` and keep it",
                   "missing_encryption_key");
  }
  if (made.keys_.size() > ring_keys_max) {
    return invalid(std::string(setting),
                   fmt::format("at most {} keys; take out the oldest", ring_keys_max),
                   "invalid_encryption_key");
  }
  return made;
}

std::string key_ring::generate() {
  ready();
  secret_bytes key(key_bytes);
  ::randombytes_buf(key.bytes().data(), key.size());
  std::string text(sodium_base64_ENCODED_LEN(key_bytes, sodium_base64_VARIANT_ORIGINAL), '\0');
  ::sodium_bin2base64(text.data(), text.size(), key.bytes().data(), key.size(),
                      sodium_base64_VARIANT_ORIGINAL);
  text.pop_back();
  return text;
}

const key_ring::one_key* key_ring::find(std::uint64_t id) const noexcept {
  const auto found = std::ranges::find(keys_, id, &one_key::id);
  return found == keys_.end() ? nullptr : &*found;
}

void key_ring::seal(std::string_view plain, std::string_view context, std::string& into) const {
  const std::size_t begin = into.size();
  into.resize(begin + nonce_bytes + plain.size() + seal_bytes);
  auto* nonce = reinterpret_cast<unsigned char*>(into.data() + begin);
  ::randombytes_buf(nonce, nonce_bytes);
  ::crypto_aead_xchacha20poly1305_ietf_encrypt(nonce + nonce_bytes, nullptr, raw(plain),
                                               plain.size(), raw(context), context.size(), nullptr,
                                               nonce, keys_.front().bytes.bytes().data());
}

std::optional<secret_bytes> key_ring::open(std::uint64_t id, std::string_view sealed,
                                           std::string_view context) const {
  const one_key* key = find(id);
  if (key == nullptr || sealed.size() < nonce_bytes + seal_bytes) return std::nullopt;
  secret_bytes plain(sealed.size() - nonce_bytes - seal_bytes);
  const unsigned char* nonce = raw(sealed);
  const int wrong = ::crypto_aead_xchacha20poly1305_ietf_decrypt(
      plain.bytes().data(), nullptr, nullptr, nonce + nonce_bytes, sealed.size() - nonce_bytes,
      raw(context), context.size(), nonce, key->bytes.bytes().data());
  if (wrong != 0) return std::nullopt;
  return plain;
}

}  // namespace millrace::secrets
