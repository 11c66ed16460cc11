#include "schema.hpp"

#include "sql.hpp"

#include <fmt/format.h>

#include <array>
#include <string_view>
#include <utility>

namespace millrace::embedded {
namespace {

/// `mill`, in the header of the file: `file millrace.db` shows it.
constexpr std::int64_t application_id = 0x6d696c6c;

/// What leads from format n to n + 1, n being the index. The first makes the tables.
constexpr std::array<std::string_view, database_format> migrations{
    sql::format_1,      sql::format_cache,    sql::format_limits,
    sql::format_events, sql::format_sessions, sql::format_groups};

/// A file up to this size is checked as a whole after it was not closed cleanly: what takes no
/// longer than the rest of the opening. Of a larger one the tables of jobs are read in any case, to
/// rebuild what is in memory; neither a kill nor a power loss damages the file, so this is for bad
/// disks.
constexpr std::int64_t checked_bytes_max = std::int64_t{4} << 20U;

std::unexpected<error> damaged(std::string_view why) {
  return fail(errc::corrupted, "database_corrupt",
              fmt::format("millrace.db {}: restore a backup with `millrace restore`, or move the "
                          "data directory away to begin anew.",
                          why));
}

result<std::int64_t> format_of(database& db) {
  const result<std::int64_t> owner = db.number("PRAGMA application_id");
  if (!owner) return owner;
  const result<std::int64_t> format = db.number("PRAGMA user_version");
  if (!format) return format;
  if (*owner == application_id) {
    if (*format <= database_format) return format;
    return fail(
        errc::unsupported, "database_newer",
        fmt::format("millrace.db has format {}, written by a newer millrace; this one reads "
                    "up to {}. Run the newer program.",
                    *format, database_format));
  }
  const result<std::int64_t> tables = db.number("SELECT count(*) FROM sqlite_schema");
  if (!tables) return tables;
  if (*owner != 0 || *tables != 0) return damaged("is a database of another program");
  return 0;
}

result<void> migrate(database& db, std::int64_t from) {
  for (auto format = static_cast<std::size_t>(from); format < migrations.size(); ++format) {
    const std::string script = fmt::format(
        "BEGIN IMMEDIATE;\n{}\nPRAGMA application_id = {};\nPRAGMA user_version = {};\n"
        "COMMIT;",
        migrations[format], application_id, format + 1);
    if (result<void> done = db.run_script(script); !done) return done;
  }
  return {};
}

result<void> quick_check(database& db) {
  statement check(db, "PRAGMA quick_check(1)");
  const reset_after reset(check);
  const bool whole = check.row() && check.text(0) == "ok";
  if (db.failed()) return std::unexpected(*db.failure());
  if (!whole) return damaged("is damaged");
  return {};
}

result<bool> closed_cleanly(database& db) {
  const auto clean = db.number("SELECT coalesce((SELECT value FROM meta WHERE name = 'clean'), 0)");
  if (!clean) return std::unexpected(clean.error());
  return *clean != 0;
}

}  // namespace

result<void> check_database(database& db) {
  const result<std::int64_t> format = format_of(db);
  if (!format) return std::unexpected(format.error());
  if (*format == 0) return damaged("is empty");
  return quick_check(db);
}

result<std::unique_ptr<database>> open_database(const std::filesystem::path& file,
                                                const std::string& vfs,
                                                std::size_t page_cache_bytes) {
  auto opened = database::open(file, vfs, database::mode::create);
  if (!opened) return opened;
  database& db = **opened;
  const result<std::int64_t> format = format_of(db);
  if (!format) return std::unexpected(format.error());
  const std::string cache = fmt::format("PRAGMA cache_size = -{};", page_cache_bytes / 1024);
  if (result<void> set = db.run_script(std::string(sql::pragmas) + cache); !set) {
    return std::unexpected(std::move(set.error()));
  }
  db.watch_log();
  if (*format != 0) {
    const result<bool> clean = closed_cleanly(db);
    if (!clean) return std::unexpected(clean.error());
    const result<std::int64_t> bytes =
        db.number("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size");
    if (!bytes) return std::unexpected(bytes.error());
    if (!*clean && *bytes <= checked_bytes_max) {
      if (result<void> whole = quick_check(db); !whole) return std::unexpected(whole.error());
    }
  }
  if (result<void> done = migrate(db, *format); !done) {
    return std::unexpected(std::move(done.error()));
  }
  return opened;
}

}  // namespace millrace::embedded
