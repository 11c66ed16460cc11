#pragma once

#include <millrace/base/error.hpp>

#include <filesystem>
#include <string>

namespace millrace::embedded {

/// A compact copy of a database that is in use, as it was at one moment, synced to the disk.
/// Errors: already there: conflict (target_exists); storage_full; unavailable.
[[nodiscard]] result<void> copy_database(const std::filesystem::path& file, const std::string& vfs,
                                         const std::filesystem::path& target);

}  // namespace millrace::embedded
