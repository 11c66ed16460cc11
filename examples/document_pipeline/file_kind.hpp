#pragma once

#include "outcome.hpp"

#include <filesystem>
#include <string>
#include <string_view>

namespace pipeline {

/// Largest file that is looked at; others are refused as permanent failures.
inline constexpr std::uintmax_t file_bytes_max = std::uintmax_t{64} << 20U;

/// What libmagic says of the bytes: `text/html`, `application/pdf`, …
[[nodiscard]] outcome<std::string> media_type(const std::filesystem::path& file);
[[nodiscard]] outcome<std::string> media_type_of_bytes(std::string_view bytes);

/// The queue a file belongs on, by its name alone (it is opened by the processor, not here):
/// `document`, `audio` or `video`.
[[nodiscard]] std::string_view queue_for(const std::filesystem::path& file);

/// The whole file. A file whose upload is still going on (`<name>.part` beside it) is not yet
/// there.
[[nodiscard]] outcome<std::string> read_file(const std::filesystem::path& file);

/// The checks of `read_file` alone, for libraries that open the file themselves.
[[nodiscard]] outcome<void> check_file(const std::filesystem::path& file);

}  // namespace pipeline
