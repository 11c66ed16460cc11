#pragma once

#include <millrace/base/error.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::client {

enum class verb : std::uint8_t { get, head, post, put, patch, del };

[[nodiscard]] std::string_view to_string(verb method) noexcept;

struct header {
  std::string name;
  std::string value;
};

struct request {
  verb method{verb::get};
  /// Path and query, percent-encoded (see `encode_segment`).
  std::string target{"/"};
  /// Besides Host, User-Agent, Authorization, Content-Length, and Content-Type `application/json`
  /// where there is a body and none is given here.
  std::vector<header> headers;
  std::string body;
  /// For everything from waiting for a free connection to the last byte of the answer. A long poll
  /// needs its own wait on top.
  std::chrono::milliseconds timeout{30'000};
};

struct response {
  unsigned status{0};
  std::vector<header> headers;
  std::string body;

  /// The first of that name, whatever its case.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const noexcept;
};

/// Turns an answer of 400 and above into the error it tells: the kind after the status and code,
/// and `code`, `detail`, `field` of its problem+json, `retry_after` of its `Retry-After`. An answer
/// below 400 passes through.
[[nodiscard]] result<response> expect_success(response answer);

/// Percent-encodes one segment of a path, or one query value: everything but unreserved characters.
[[nodiscard]] std::string encode_segment(std::string_view text);

/// `application/problem+json` of a proxy or stranger may hold any code; those kept for the life of
/// the process are bounded, and beyond the bound the word of the kind is used.
inline constexpr std::size_t foreign_codes_max = 256;

}  // namespace millrace::client
