#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

namespace millrace::secrets {

/// Bytes that are overwritten before their memory is given back.
class secret_bytes final {
public:
  secret_bytes() noexcept = default;
  explicit secret_bytes(std::size_t size);
  secret_bytes(secret_bytes&& other) noexcept
      : bytes_(std::move(other.bytes_)), size_(std::exchange(other.size_, 0)) {}
  secret_bytes& operator=(secret_bytes&& other) noexcept;
  ~secret_bytes() { wipe(); }

  [[nodiscard]] std::span<unsigned char> bytes() noexcept { return {bytes_.get(), size_}; }
  [[nodiscard]] std::span<const unsigned char> bytes() const noexcept {
    return {bytes_.get(), size_};
  }
  [[nodiscard]] std::string_view text() const noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// Overwrites and lets go.
  void wipe() noexcept;

private:
  std::unique_ptr<unsigned char[]> bytes_;
  std::size_t size_{0};
};

/// Overwrites memory of somebody else's in a way that no compiler takes out.
void wipe(std::span<char> bytes) noexcept;

}  // namespace millrace::secrets
