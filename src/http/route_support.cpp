#include "route_support.hpp"

#include "json_members.hpp"

#include <millrace/base/json.hpp>
#include <millrace/base/names.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/engine/limits.hpp>

#include <boost/json/object.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <utility>

namespace millrace::http {
namespace {

constexpr std::uint32_t small_page = 50;
constexpr std::size_t page_bytes_max = std::size_t{8} << 20U;

std::size_t bytes_of(const engine::job& job) noexcept {
  return job.spec.data.size() + job.result.size() + job.checkpoint.size() + job.error.size();
}

}  // namespace

result<engine::queue_key> queue_in_path(const service& with, const request& what) {
  result<void> named = check_name(what.params[0], "queue");
  if (!named) return std::unexpected(std::move(named.error()));
  return engine::queue_key{.project = with.project, .name = what.params[0]};
}

result<engine::job_id> job_in_path(const request& what) {
  std::optional<engine::job_id> id = engine::job_id::parse(what.params[0]);
  if (!id) return std::unexpected(job_not_found());
  return std::move(*id);
}

error job_not_found() {
  return {.kind = errc::not_found,
          .code = "job_not_found",
          .detail = "There is no such job, or no longer: ended jobs are kept for a while only."};
}

error queue_not_found(const std::string& name) {
  return {.kind = errc::not_found,
          .code = "queue_not_found",
          .detail = fmt::format("There is no queue '{}': it was never used.", name),
          .field = "queue"};
}

result<std::optional<engine::pass_fence>> read_guard(query_reader& query,
                                                     const std::string& project) {
  constexpr std::uint64_t fence_max = (std::uint64_t{1} << 53U) - 1;
  std::optional<std::string> resource = query.text("guard");
  const std::uint64_t fence = query.count("fence", 1, fence_max, 0);
  if (!resource && fence == 0) return std::nullopt;
  if (!resource)
    return invalid("guard", "guard is missing: the resource whose lock has the fence.");
  if (fence == 0) return invalid("fence", "fence is missing: the number that came with the lock.");
  return engine::pass_fence{.key = {.project = project, .resource = std::move(*resource)},
                            .fence = fence};
}

result<void> check_no_query(const request& what) {
  if (what.query.empty()) return {};
  result<query_reader> query = query_reader::parse(what.query);
  if (!query) return std::unexpected(std::move(query.error()));
  return query->finish();
}

result<void> check_bare(const request& what) {
  result<void> checked = check_no_query(what);
  if (!checked || what.body.empty()) return checked;
  const result<json::value> parsed = parse_json(what.body);
  if (!parsed) return std::unexpected(parsed.error());
  struct nothing {
  } none;
  return read_members<nothing>(*parsed, std::span<const member_rule<nothing>>{}, none, {});
}

list_request read_list_request(query_reader& query) {
  constexpr std::uint64_t limit_default = 50;
  const std::uint64_t limit = query.count("limit", 1, engine::page_items_max, limit_default);
  return {.limit = static_cast<std::uint32_t>(limit), .cursor = query.text("cursor").value_or("")};
}

result<bool> read_newest_first(query_reader& query, bool otherwise) {
  const std::optional<std::string> order = query.text("order");
  if (!order) return otherwise;
  if (*order == "newest") return true;
  if (*order == "oldest") return false;
  return invalid("order", "order must be \"newest\" or \"oldest\" (first).");
}

awaitable<result<engine::page<engine::job>>> list_bounded(service& with, engine::list_jobs asked) {
  engine::page<engine::job> all;
  const std::uint32_t wanted = asked.limit;
  std::size_t bytes = 0;
  do {
    const auto missing = static_cast<std::uint32_t>(wanted - all.items.size());
    asked.limit = std::min(missing, small_page);
    auto page = co_await engine::ask(with.store, asked);
    if (!page) co_return std::unexpected(std::move(page.error()));
    for (engine::job& one : page->items) {
      bytes += bytes_of(one);
      all.items.push_back(std::move(one));
    }
    all.cursor = page->cursor;
    asked.cursor = std::move(page->cursor);
    // A page without items cost a look at many rows: the client decides whether to go on.
    if (page->items.empty()) break;
  } while (!asked.cursor.empty() && all.items.size() < wanted && bytes < page_bytes_max);
  co_return all;
}

void append_list_end(std::string& out, const std::string& cursor) {
  out += R"(,"cursor":)";
  if (cursor.empty()) {
    out += "null";
  } else {
    append_json_string(out, cursor);
  }
  out += '}';
}

std::optional<std::uint64_t> version_of_tag(std::string_view tag) {
  if (tag.starts_with("W/")) tag.remove_prefix(2);
  if (tag.size() < 3 || tag.front() != '"' || tag.back() != '"') return std::nullopt;
  std::uint64_t version = 0;
  const char* const end = tag.data() + tag.size() - 1;
  const auto [stopped, code] = std::from_chars(tag.data() + 1, end, version);
  if (code != std::errc{} || stopped != end) return std::nullopt;
  return version;
}

}  // namespace millrace::http
