#pragma once

#include <string_view>

/// Files that the server carries within itself; made from the files at build.
namespace millrace::http::assets {

extern const std::string_view openapi;
extern const std::string_view page;

}  // namespace millrace::http::assets
