#pragma once

#include <millrace/base/error.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace millrace {

/// A piece of a cron line, with its place for messages.
struct cron_text {
  std::string_view text;
  /// Of the first character, counted from 1.
  std::size_t column{1};
};

/// What one field of a cron line admits.
struct cron_field_rule {
  std::string_view name;
  unsigned min{0};
  unsigned max{0};
  /// Words for `min` and up.
  std::span<const std::string_view> words{};
};

/// `minute field '61' (character 1): 0 to 59`
[[nodiscard]] std::unexpected<error> bad_cron_item(const cron_field_rule& rule, cron_text item,
                                                   std::string_view why);

/// A number or word of the field; empty where it is neither, or out of range.
[[nodiscard]] std::optional<unsigned> cron_value(const cron_field_rule& rule,
                                                 std::string_view text);

/// A plain decimal number of at most four digits.
[[nodiscard]] std::optional<unsigned> cron_number(std::string_view text);

/// One item between commas: `*`, `a`, `a-b`, each with an optional `/step`. Bit v of the answer
/// stands for the value v.
[[nodiscard]] result<std::uint64_t> parse_cron_item(const cron_field_rule& rule, cron_text item);

/// Cuts off what stands before the first `by`, and the `by`; false when nothing is left.
[[nodiscard]] bool next_cron_piece(cron_text& rest, char by, cron_text& piece);

}  // namespace millrace
