#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/base/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// Looks into a server's answer without trusting its shape: what is missing or of another type is
/// empty.
namespace millrace::cli {

/// `"queue"`, or `"progress.value"` for members of members. Null where there is none.
[[nodiscard]] const json::value* member(const json::value& of, std::string_view path);

[[nodiscard]] std::string text_at(const json::value& of, std::string_view path);
[[nodiscard]] std::optional<double> number_at(const json::value& of, std::string_view path);
[[nodiscard]] std::uint64_t count_at(const json::value& of, std::string_view path);
[[nodiscard]] bool flag_at(const json::value& of, std::string_view path);
[[nodiscard]] std::optional<timestamp> time_at(const json::value& of, std::string_view path);
/// The array's elements; none where it is not one.
[[nodiscard]] const json::array& items_at(const json::value& of, std::string_view path);
/// As JSON text.
[[nodiscard]] std::string json_text(const json::value& value);

}  // namespace millrace::cli
