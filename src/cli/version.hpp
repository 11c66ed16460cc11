#pragma once

#include <string_view>

namespace millrace::cli {

/// Comes from the build.
inline constexpr std::string_view version_text = MILLRACE_VERSION;

}  // namespace millrace::cli
