#include <millrace/secrets/secret_bytes.hpp>

#include <sodium.h>

namespace millrace::secrets {

secret_bytes::secret_bytes(std::size_t size)
    : bytes_(std::make_unique_for_overwrite<unsigned char[]>(size)), size_(size) {}

secret_bytes& secret_bytes::operator=(secret_bytes&& other) noexcept {
  if (this == &other) return *this;
  wipe();
  bytes_ = std::move(other.bytes_);
  size_ = std::exchange(other.size_, 0);
  return *this;
}

std::string_view secret_bytes::text() const noexcept {
  return {reinterpret_cast<const char*>(bytes_.get()), size_};
}

void secret_bytes::wipe() noexcept {
  if (size_ > 0) ::sodium_memzero(bytes_.get(), size_);
  bytes_.reset();
  size_ = 0;
}

void wipe(std::span<char> bytes) noexcept {
  if (!bytes.empty()) ::sodium_memzero(bytes.data(), bytes.size());
}

}  // namespace millrace::secrets
