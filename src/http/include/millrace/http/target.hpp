#pragma once

#include <millrace/base/error.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Reading the target of a request: percent-encoding and the query.
namespace millrace::http {

/// Decodes `%xx`. Errors: malformed (malformed_target) for a `%` without two hexadecimal digits.
[[nodiscard]] result<std::string> percent_decode(std::string_view text);

/// The parameters of a query, each read at most once by name. What nobody asked for is an error, so
/// that no typing error passes in silence.
///
///   auto query = query_reader::parse(request.query);
///   const auto limit = query->count("limit", 1, 1000);
///   …
///   if (auto done = query->finish(); !done) …
class query_reader final {
public:
  /// Errors: malformed (malformed_target); invalid_argument for more than 128 parameters.
  [[nodiscard]] static result<query_reader> parse(std::string_view query);

  /// Whether it is given; leaves it to be read.
  [[nodiscard]] bool has(std::string_view name) const noexcept;
  /// The value; the last where it stands there twice.
  [[nodiscard]] std::optional<std::string> text(std::string_view name);
  /// All values of a name, in their order.
  [[nodiscard]] std::vector<std::string> texts(std::string_view name);
  /// `true`/`1` or `false`/`0`; a name alone counts as true. False where it is not given.
  [[nodiscard]] bool flag(std::string_view name);
  /// A whole number in [min, max], or `otherwise` where it is not given.
  [[nodiscard]] std::uint64_t count(std::string_view name, std::uint64_t min, std::uint64_t max,
                                    std::uint64_t otherwise);
  /// All `prefix.k=v`, as (k, v), sorted.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> prefixed(std::string_view prefix);

  /// The first thing that was wrong, or a parameter that nobody asked for.
  [[nodiscard]] result<void> finish();

private:
  struct parameter {
    std::string name;
    std::string value;
    bool taken{false};
  };

  std::vector<parameter> parameters_;
  std::optional<error> wrong_;
};

}  // namespace millrace::http
