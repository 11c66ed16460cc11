#include "limit_bindings.hpp"

#include <millrace/base/names.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

namespace millrace {
namespace {

constexpr std::array<std::string_view, 7> methods{"*",   "GET",   "HEAD",  "POST",
                                                  "PUT", "PATCH", "DELETE"};
/// What a server knows of any request.
constexpr std::array<std::string_view, 5> known_parts{"ip", "endpoint", "project", "server",
                                                      "global"};

// `POST`, `/v1/jobs`.
std::pair<std::string_view, std::string_view> split(std::string_view requests) {
  const std::size_t space = requests.find(' ');
  if (space == std::string_view::npos) return {requests, {}};
  return {requests.substr(0, space), requests.substr(space + 1)};
}

std::string_view next_segment(std::string_view& path) {
  path.remove_prefix(1);
  const std::size_t end = std::min(path.find('/'), path.size());
  const std::string_view segment = path.substr(0, end);
  path.remove_prefix(end);
  return segment;
}

bool path_fits(std::string_view pattern, std::string_view path) {
  while (!pattern.empty() && !path.empty()) {
    if (pattern == "/*") return true;
    const std::string_view wanted = next_segment(pattern);
    const std::string_view there = next_segment(path);
    const std::size_t brace = wanted.find('}');
    if (wanted == "*" || wanted == there) continue;
    // `{id}:ack`: any name, with this verb behind it.
    if (!wanted.starts_with('{') || brace == std::string_view::npos) return false;
    if (!there.ends_with(wanted.substr(brace + 1))) return false;
  }
  return pattern.empty() && path.empty();
}

bool is_never_limited(std::string_view path) {
  return path == "/health" || path.starts_with("/health/") || path == "/metrics";
}

bool is_known(const limit_rule& rule) {
  return std::ranges::find(known_parts, rule.scope) != known_parts.end() ||
         std::ranges::find(known_parts, rule.fallback) != known_parts.end();
}

result<void> check_binding(const limit_binding& one, const limit_settings& settings) {
  const std::string field = "routes." + one.requests;
  const auto [method, path] = split(one.requests);
  if (std::ranges::find(methods, method) == methods.end() || !path.starts_with('/')) {
    return invalid(field, fmt::format("'{}' names no requests: write \"POST /v1/queues/*/jobs\" or "
                                      "\"* /v1/cache/*\".",
                                      excerpt(one.requests)));
  }
  if (is_never_limited(path)) {
    return invalid(field, "health and metrics are never limited: leave this out.");
  }
  const limit_policy* policy = find_policy(settings, one.policy);
  if (policy == nullptr) {
    return invalid(field, fmt::format("there is no policy '{}': add limits.policies.{}.",
                                      excerpt(one.policy), excerpt(one.policy)));
  }
  for (const limit_rule& rule : policy->rules) {
    if (rule.algorithm == engine::limit_algorithm::concurrency) {
      return invalid(field,
                     fmt::format("the policy {} has permits (concurrency), which nobody would "
                                 "release here: bind a policy without.",
                                 one.policy));
    }
    if (is_known(rule)) continue;
    return invalid(field, fmt::format("the policy {} limits by {}, which a request to this server "
                                      "does not say: give that limit a fallback (ip), or bind a "
                                      "policy of {}.",
                                      one.policy, rule.scope, fmt::join(known_parts, ", ")));
  }
  return {};
}

}  // namespace

result<void> check_bindings(const limit_settings& settings) {
  if (settings.bindings.size() > limit_bindings_max) {
    return invalid("routes", fmt::format("there can be at most {} of them.", limit_bindings_max));
  }
  for (const limit_binding& one : settings.bindings) {
    if (auto sound = check_binding(one, settings); !sound) return sound;
  }
  return {};
}

const limit_binding* find_binding(const limit_settings& settings, std::string_view method,
                                  std::string_view path) {
  if (settings.bindings.empty() || is_never_limited(path)) return nullptr;
  const limit_binding* closest = nullptr;
  // The longer path says more; of two alike the one with a method.
  std::pair<std::size_t, bool> best;
  for (const limit_binding& one : settings.bindings) {
    const auto [its_method, its_path] = split(one.requests);
    const bool any_method = its_method == "*";
    if ((!any_method && its_method != method) || !path_fits(its_path, path)) continue;
    const std::pair says{its_path.size(), !any_method};
    if (closest == nullptr || says > best) {
      closest = &one;
      best = says;
    }
  }
  return closest;
}

}  // namespace millrace
