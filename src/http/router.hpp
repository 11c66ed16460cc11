#pragma once

#include "message.hpp"

#include <millrace/base/error.hpp>

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace millrace::http {

struct service;

using route_handler = awaitable<response> (*)(service& with, request& what);

/// What a route wants to find in the body.
enum class body_kind : std::uint8_t {
  none,
  json,
  /// Any bytes of any type.
  bytes,
};

struct route {
  method verb{method::get};
  /// `/v1/jobs/{id}:ack`: variable parts in braces fill a whole segment; a verb stands behind the
  /// last colon.
  std::string_view pattern;
  route_handler handle{nullptr};
  body_kind body{body_kind::none};
};

/// Finds the route of a request among a fixed table.
///
/// Guarantees: of two patterns that both fit the one that stands earlier in the table wins.
/// Threading:  safe once built.
class router final {
public:
  explicit router(std::span<const route> table);

  struct found {
    /// Place in the table.
    std::size_t index{0};
  };
  struct refused {
    error why;
    /// The methods the path does have, for `Allow`; empty when there is no such path.
    std::string allow;
  };

  /// Fills `of.params`. A HEAD goes to the GET of its path.
  [[nodiscard]] std::variant<found, refused> match(request& of) const;

  [[nodiscard]] std::span<const route> table() const noexcept { return table_; }

private:
  static constexpr std::size_t segments_max = 8;
  struct split_path {
    std::array<std::string_view, segments_max> segments;
    /// Zero for a path that no pattern can fit.
    std::size_t count{0};
    std::string_view verb;
  };
  enum class verbs : bool { ignored, apart };
  [[nodiscard]] static split_path split(std::string_view path, verbs how);
  [[nodiscard]] static bool fits(const split_path& pattern, const split_path& path) noexcept;
  [[nodiscard]] std::variant<found, refused> take(std::size_t index, const split_path& path,
                                                  request& of) const;

  std::span<const route> table_;
  std::vector<split_path> patterns_;
};

}  // namespace millrace::http
