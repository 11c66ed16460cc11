#pragma once

#include "sqlite.hpp"

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>

namespace millrace::embedded {

/// The format this program writes. Greater ones are refused, smaller ones migrated at open.
inline constexpr int database_format = 6;

/// Opens `millrace.db`, making it when it is absent; checks that it is ours and undamaged, brings
/// it to the present format, and sets what a connection of the writer needs.
///
/// Errors: corrupted (database_corrupt), unsupported (database_newer), forbidden, storage_full.
[[nodiscard]] result<std::unique_ptr<database>> open_database(const std::filesystem::path& file,
                                                              const std::string& vfs,
                                                              std::size_t page_cache_bytes);

/// Whether a file is a whole millrace database of a format we know: reads all of it.
[[nodiscard]] result<void> check_database(database& file);

}  // namespace millrace::embedded
