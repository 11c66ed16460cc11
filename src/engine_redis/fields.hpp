#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

/// Numbers of fixed widths, big end first, as the `struct` of the scripts reads and writes them.
namespace millrace::engine_redis {

/// In place of a time or a stamp that is not there.
inline constexpr std::int64_t nothing = -(std::int64_t{1} << 54U);

inline void put_number(std::string& out, std::int64_t value, std::size_t bytes) {
  for (std::size_t left = bytes; left > 0; --left) {
    const auto shifted = static_cast<std::uint64_t>(value) >> (8 * (left - 1));
    out.push_back(static_cast<char>(static_cast<unsigned char>(shifted & 0xffU)));
  }
}

/// Behind its length.
inline void put_text(std::string& out, std::string_view text, std::size_t length_bytes) {
  put_number(out, static_cast<std::int64_t>(text.size()), length_bytes);
  out += text;
}

/// Reads them in their order. What is not there makes it fail: from then on it answers zeros.
///
/// Lifetime: of the text; what it answers points into it.
class fields final {
public:
  explicit fields(std::string_view record) noexcept : rest_(record) {}

  [[nodiscard]] std::int64_t number(std::size_t bytes) {
    std::uint64_t value = 0;
    for (const char each : text(bytes)) value = value << 8U | static_cast<unsigned char>(each);
    return static_cast<std::int64_t>(value);
  }
  /// A number written as so many decimal digits.
  [[nodiscard]] std::uint64_t digits(std::size_t count) {
    std::uint64_t value = 0;
    for (const char each : text(count)) {
      if (each < '0' || each > '9') fail();
      value = 10 * value + static_cast<std::uint64_t>(each - '0');
    }
    return value;
  }
  /// Seven bytes with a sign.
  [[nodiscard]] std::int64_t distance() {
    constexpr unsigned unused_bits = 8;
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(number(7)) << unused_bits) >>
           unused_bits;
  }
  [[nodiscard]] std::string_view text(std::size_t bytes) {
    if (bytes > rest_.size()) {
      failed_ = true;
      rest_ = {};
      return {};
    }
    const std::string_view out = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return out;
  }
  /// Behind its own length.
  [[nodiscard]] std::string_view counted(std::size_t length_bytes) {
    return text(static_cast<std::size_t>(number(length_bytes)));
  }
  [[nodiscard]] std::string_view rest() const noexcept { return rest_; }
  [[nodiscard]] bool failed() const noexcept { return failed_; }
  void fail() noexcept {
    failed_ = true;
    rest_ = {};
  }

private:
  std::string_view rest_;
  bool failed_{false};
};

}  // namespace millrace::engine_redis
