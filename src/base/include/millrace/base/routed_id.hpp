#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

/// The id of a record that lives in a store: a stamp that grows, and the routing tag that says on
/// which slot of a cluster the record lives.
///
/// As text: `<tag>~<stamp>`, the stamp as 11 characters of Crockford's base 32 in lower case, for
/// example `document~1hkqz5vt0c8`. Texts of one tag sort as their stamps do. URL-safe as it is.
struct routed_id {
  std::string tag;
  /// Positive and below 2^53; unique within the store whatever the tag.
  std::uint64_t stamp{0};

  [[nodiscard]] std::string text() const;
  /// Empty for anything `text` cannot have made.
  [[nodiscard]] static std::optional<routed_id> parse(std::string_view text);

  friend bool operator==(const routed_id&, const routed_id&) = default;
  friend auto operator<=>(const routed_id&, const routed_id&) = default;
};

}  // namespace millrace

template <>
struct std::hash<millrace::routed_id> {
  std::size_t operator()(const millrace::routed_id& id) const noexcept {
    return std::hash<std::uint64_t>{}(id.stamp * 0x9e3779b97f4a7c15U);
  }
};
