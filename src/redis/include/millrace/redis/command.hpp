#pragma once

#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace millrace::redis {

/// The slot of a Redis Cluster a key belongs to: CRC16 (XMODEM) of its hash tag, or of all of it.
[[nodiscard]] std::uint16_t hash_slot(std::string_view key) noexcept;

/// What decides on the slot: the text between the first `{` and the next `}` unless that is empty,
/// or the whole key.
[[nodiscard]] std::string_view hash_tag(std::string_view key) noexcept;

/// One command with its arguments, encoded as it is built.
///
/// `command{"SET"}.key("a").arg("b").arg("PX").arg(1000)`
///
/// Keys are told apart from other arguments, so that a cluster's client knows where it goes.
/// Cost: one buffer; a copy a command until it is written.
class command final {
public:
  explicit command(std::string_view name);

  template <class Self>
  Self&& arg(this Self&& self, std::string_view text) {
    self.append(text);
    return std::forward<Self>(self);
  }
  template <class Self, std::integral Number>
    requires(!std::same_as<Number, bool> && !std::same_as<Number, char>)
  Self&& arg(this Self&& self, Number number) {
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    self.append({digits, end});
    return std::forward<Self>(self);
  }
  /// The shortest text that is this number again.
  template <class Self>
  Self&& arg(this Self&& self, double number) {
    self.append_real(number);
    return std::forward<Self>(self);
  }
  template <class Self>
  Self&& key(this Self&& self, std::string_view name) {
    self.append_key(name);
    return std::forward<Self>(self);
  }
  /// Makes room for that many more bytes of arguments.
  template <class Self>
  Self&& reserve(this Self&& self, std::size_t bytes) {
    self.body_.reserve(self.body_.size() + bytes);
    return std::forward<Self>(self);
  }

  /// As it was given, with its case.
  [[nodiscard]] std::string_view name() const noexcept;
  /// Name and arguments.
  [[nodiscard]] std::size_t words() const noexcept { return words_; }
  /// The first argument behind the name; empty where there is none.
  [[nodiscard]] std::string_view first_argument() const noexcept;
  /// One of its words, in any case, is `word`, with no `end` before it.
  [[nodiscard]] bool has_word_before(std::string_view word, std::string_view end) const noexcept;
  /// The slot of its first key; empty where it has none.
  [[nodiscard]] std::optional<std::uint16_t> slot() const noexcept;
  /// All its keys have the same hash tag. True where it has none.
  [[nodiscard]] bool keys_together() const noexcept { return keys_together_; }

  /// How many bytes `write_to` appends at most.
  [[nodiscard]] std::size_t wire_bytes() const noexcept { return body_.size() + 24; }
  /// Appends the command as it goes over the wire.
  void write_to(std::string& out) const;

private:
  void append(std::string_view word);
  void append_real(double number);
  void append_key(std::string_view name);
  [[nodiscard]] std::string_view first_key() const noexcept;

  /// Each word with its length; the number of words comes before it on the wire.
  std::string body_;
  std::uint32_t words_{0};
  std::uint32_t first_key_at_{0};
  std::uint32_t first_key_bytes_{0};
  bool has_key_{false};
  bool keys_together_{true};
};

}  // namespace millrace::redis
