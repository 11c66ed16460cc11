#include <millrace/secrets/sealed_text.hpp>

#include <sodium.h>

#include <cstdint>

namespace millrace::secrets {

namespace {

constexpr std::string_view opening = "\"sealed:1:";
constexpr int variant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;
constexpr std::size_t id_bytes = 8;

std::string to_base64(std::string_view bytes) {
  std::string text(sodium_base64_encoded_len(bytes.size(), variant), '\0');
  ::sodium_bin2base64(text.data(), text.size(),
                      reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), variant);
  text.pop_back();
  return text;
}

}  // namespace

std::string seal_text(std::string_view plain, std::string_view context, const key_ring& ring) {
  std::string bytes;
  for (std::size_t i = 0; i < id_bytes; ++i) {
    bytes += static_cast<char>(static_cast<unsigned char>((ring.newest() >> (8 * i)) & 0xffU));
  }
  ring.seal(plain, context, bytes);
  return std::string(opening) + to_base64(bytes) + '"';
}

bool is_sealed_text(std::string_view json) noexcept { return json.starts_with(opening); }

std::optional<secret_bytes> open_text(std::string_view json, std::string_view context,
                                      const key_ring* ring) {
  if (ring == nullptr || !is_sealed_text(json) || json.size() <= opening.size() ||
      !json.ends_with('"')) {
    return std::nullopt;
  }
  const std::string_view text = json.substr(opening.size(), json.size() - opening.size() - 1);
  std::string bytes(text.size() / 4 * 3 + 3, '\0');
  std::size_t size = 0;
  const char* end = nullptr;
  const int wrong =
      ::sodium_base642bin(reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(), text.data(),
                          text.size(), nullptr, &size, &end, variant);
  if (wrong != 0 || end != text.data() + text.size() || size < id_bytes) return std::nullopt;
  const std::string_view whole(bytes.data(), size);
  std::uint64_t id = 0;
  for (std::size_t i = id_bytes; i-- > 0;) {
    id = id << 8U | static_cast<unsigned char>(whole[i]);
  }
  return ring->open(id, whole.substr(id_bytes), context);
}

}  // namespace millrace::secrets
