#include "router.hpp"

#include <millrace/http/target.hpp>

#include <utility>

namespace millrace::http {
namespace {

bool is_variable(std::string_view segment) noexcept { return segment.starts_with('{'); }

}  // namespace

router::router(std::span<const route> table) : table_(table) {
  patterns_.reserve(table.size());
  for (const route& one : table) patterns_.push_back(split(one.pattern, verbs::apart));
}

router::split_path router::split(std::string_view path, verbs how) {
  split_path parts;
  if (how == verbs::apart) {
    const std::size_t colon = path.rfind(':');
    if (colon != std::string_view::npos && path.find('/', colon) == std::string_view::npos) {
      parts.verb = path.substr(colon + 1);
      path = path.substr(0, colon);
    }
  }
  path.remove_prefix(1);
  while (true) {
    const std::size_t slash = path.find('/');
    if (parts.count == segments_max) return {};
    parts.segments[parts.count++] = path.substr(0, slash);
    if (slash == std::string_view::npos) return parts;
    path.remove_prefix(slash + 1);
  }
}

bool router::fits(const split_path& pattern, const split_path& path) noexcept {
  if (pattern.count != path.count || pattern.verb != path.verb) return false;
  for (std::size_t i = 0; i < path.count; ++i) {
    const bool same = is_variable(pattern.segments[i]) ? !path.segments[i].empty()
                                                       : pattern.segments[i] == path.segments[i];
    if (!same) return false;
  }
  return true;
}

std::variant<router::found, router::refused> router::match(request& of) const {
  const method wanted = of.verb == method::head ? method::get : of.verb;
  refused none{
      error{.kind = errc::not_found,
            .code = "route_not_found",
            .detail = "There is nothing at this path. See /openapi.json for what there is."},
      {}};
  // A colon may also belong to what a segment names, where no verb fits.
  for (const verbs how : {verbs::apart, verbs::ignored}) {
    const split_path path = split(of.path, how);
    for (std::size_t i = 0; i < table_.size(); ++i) {
      if (!fits(patterns_[i], path)) continue;
      if (table_[i].verb == wanted) return take(i, path, of);
      if (!none.allow.empty()) none.allow += ", ";
      none.allow += to_string(table_[i].verb);
      if (table_[i].verb == method::get) none.allow += ", HEAD";
    }
    if (!none.allow.empty() || path.verb.empty()) break;
  }
  if (!none.allow.empty()) {
    none.why = {.kind = errc::not_found,
                .code = "method_not_allowed",
                .detail = "This path takes " + none.allow + "."};
  }
  return none;
}

std::variant<router::found, router::refused> router::take(std::size_t index, const split_path& path,
                                                          request& of) const {
  std::size_t next = 0;
  for (std::size_t i = 0; i < path.count; ++i) {
    if (!is_variable(patterns_[index].segments[i])) continue;
    result<std::string> decoded = percent_decode(path.segments[i]);
    if (!decoded) return refused{std::move(decoded.error()), {}};
    of.params[next++] = std::move(*decoded);
  }
  return found{index};
}

}  // namespace millrace::http
