#pragma once

#include <millrace/base/error.hpp>
#include <millrace/cache/entry_limits.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::cache {

/// The value of one named part of a key.
struct key_part {
  std::string_view name;
  std::string_view value;
};

/// The values of a pattern's parts in their order, as views into a key.
struct part_values {
  std::array<std::string_view, family_parts_max> values{};
  std::size_t count{0};
};

/// How two patterns stand to each other, for the keys that both match.
enum class pattern_relation : std::uint8_t {
  /// There are none.
  disjoint,
  /// The first one is meant for them: it says more.
  more_specific,
  less_specific,
  /// Nobody can say which one is meant.
  ambiguous,
};

/// The shape of a family's keys: `vector:{bot_id}:{query_hash}`.
///
/// Fields are separated by `:`. A field is a literal or one part, `{bot_id}`, with literals around
/// it where wanted: `v{version}`. The value of a part is not empty and has no `:`.
class key_pattern final {
public:
  /// One field: a literal where `part` is empty, and then all in `before`.
  struct field {
    std::string before;
    std::string part;
    std::string after;
    friend bool operator==(const field&, const field&) = default;
  };

  /// Errors: invalid_argument at `setting`, with what is wrong in the pattern.
  [[nodiscard]] static result<key_pattern> parse(std::string_view text, std::string_view setting);

  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  [[nodiscard]] std::span<const field> fields() const noexcept { return fields_; }
  /// Names of the parts in their order.
  [[nodiscard]] std::span<const std::string> parts() const noexcept { return parts_; }
  [[nodiscard]] bool has_part(std::string_view name) const noexcept;

  /// The key or tag for these values. Parts that the pattern does not have are passed over.
  /// Errors: invalid_argument at the part's name (missing, empty, with a `:` or a control
  /// character)
  ///         or at `key` (longer than 512 bytes).
  [[nodiscard]] result<std::string> fill(std::span<const key_part> with) const;
  /// The same with values in the order of `parts`, which came out of a key.
  [[nodiscard]] std::string fill_in_order(std::span<const std::string_view> values) const;

private:
  std::string text_;
  std::vector<field> fields_;
  std::vector<std::string> parts_;
};

/// Whether a field matches, and then the value of its part.
[[nodiscard]] bool matches(const key_pattern::field& shape, std::string_view text,
                           std::string_view& value) noexcept;

/// Whether a text may match both.
[[nodiscard]] bool may_meet(const key_pattern::field& a, const key_pattern::field& b) noexcept;

[[nodiscard]] pattern_relation compare(const key_pattern& a, const key_pattern& b) noexcept;

}  // namespace millrace::cache
