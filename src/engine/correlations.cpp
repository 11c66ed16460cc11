#include <millrace/engine/correlation_queries.hpp>

#include <fmt/format.h>

#include <charconv>

namespace millrace::engine {

bool is_correlated(const job& what, const list_correlated& asked) {
  if (what.queue.project != asked.project) return false;
  const std::string& carried = what.spec.correlation_id;
  return carried.empty() ? what.id.text() == asked.correlation_id : carried == asked.correlation_id;
}

std::size_t page_bytes_of(const job& what) noexcept {
  return what.spec.data.size() + what.result.size() + what.checkpoint.size() + what.error.size();
}

result<std::uint64_t> stamp_bound(const list_correlated& what) {
  // No stamp is as large as that: scripts have to count with them.
  if (what.cursor.empty()) return std::uint64_t{1} << 53U;
  std::uint64_t stamp = 0;
  const char* const end = what.cursor.data() + what.cursor.size();
  const auto [stopped, code] = std::from_chars(what.cursor.data(), end, stamp);
  if (code != std::errc{} || stopped != end || stamp == 0 || stamp >= std::uint64_t{1} << 53U) {
    return fail(errc::malformed, "bad_cursor", "The cursor is not one of this listing.", "cursor");
  }
  return stamp;
}

std::string cursor_below(std::uint64_t stamp) { return fmt::format("{}", stamp); }

}  // namespace millrace::engine
