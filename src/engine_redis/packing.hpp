#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// The part of MessagePack that the scripts speak: values one after the other.
namespace millrace::engine_redis {

class packer final {
public:
  packer& nil();
  packer& add(bool value);
  packer& add(std::string_view text);
  packer& add(const char* text) { return add(std::string_view(text)); }
  packer& add(double value);
  template <std::integral Number>
    requires(!std::same_as<Number, bool>)
  packer& add(Number value) {
    return add_integer(static_cast<std::int64_t>(value));
  }
  template <class Value>
  packer& add(const std::optional<Value>& value) {
    return value ? add(*value) : nil();
  }
  /// Nothing where it is the value that stands for nothing.
  packer& add_unless(std::int64_t value, std::int64_t absent) {
    return value == absent ? nil() : add_integer(value);
  }
  packer& add_unless_empty(std::string_view text) { return text.empty() ? nil() : add(text); }
  /// So many values follow and are one.
  packer& array(std::size_t values);
  /// What is packed already.
  packer& raw(std::string_view packed) {
    out_ += packed;
    return *this;
  }

  [[nodiscard]] std::string take() { return std::move(out_); }
  /// Empty again, with the memory it has.
  packer& clear() noexcept {
    out_.clear();
    return *this;
  }
  [[nodiscard]] const std::string& text() const noexcept { return out_; }

private:
  packer& add_integer(std::int64_t value);
  void big_endian(char type, std::uint64_t value, int bytes);

  std::string out_;
};

/// Reads values in their order. The first that is not what was asked for, or not there, fails it:
/// from then on it answers nothing but empty values.
///
/// Lifetime: of the text; what `text` answers points into it.
class unpacker final {
public:
  explicit unpacker(std::string_view packed) noexcept : rest_(packed) {}

  [[nodiscard]] bool failed() const noexcept { return failed_; }
  [[nodiscard]] std::string_view rest() const noexcept { return rest_; }
  void fail() noexcept {
    failed_ = true;
    rest_ = {};
  }

  /// Takes a nil, if there is one.
  [[nodiscard]] bool nil();
  [[nodiscard]] std::int64_t integer();
  [[nodiscard]] bool boolean();
  [[nodiscard]] std::string_view text();
  [[nodiscard]] double real();
  /// So many bytes, as they are.
  [[nodiscard]] std::string_view raw(std::int64_t bytes);
  /// How many values the array has that follow.
  [[nodiscard]] std::size_t array();

  [[nodiscard]] std::optional<std::int64_t> maybe_integer() {
    return nil() ? std::nullopt : std::optional(integer());
  }
  [[nodiscard]] std::int64_t integer_or(std::int64_t otherwise) {
    return nil() ? otherwise : integer();
  }
  [[nodiscard]] std::string_view text_or_empty() { return nil() ? std::string_view() : text(); }

private:
  [[nodiscard]] unsigned char take_type();
  [[nodiscard]] std::uint64_t take_big_endian(int bytes);

  std::string_view rest_;
  bool failed_{false};
};

}  // namespace millrace::engine_redis
