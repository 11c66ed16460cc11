#pragma once

#include <millrace/limiter/limiter.hpp>

#include <optional>
#include <vector>

namespace millrace {

/// Whose counts a request means.
struct resolved_limits {
  std::vector<wanted_limit> limits;
  /// A list of the policy decides, and this is what it says.
  std::optional<bool> listed;
};

/// Errors: those of `limiter::take` that hang on no store.
[[nodiscard]] result<resolved_limits> resolve_limits(const limit_request& what,
                                                     const limit_settings& settings);

/// Of a policy: a cost that never fits is a mistake of the request, whose field is `cost`.
[[nodiscard]] result<void> check_costs(const std::vector<wanted_limit>& limits);

/// Leaves the limits that have permits (invalid_argument: no_permits), or the others
/// (only_permits).
[[nodiscard]] result<void> keep_permits_alone(std::vector<wanted_limit>& limits);
[[nodiscard]] result<void> drop_permits(std::vector<wanted_limit>& limits);

/// Of every limit of the request.
void set_cost(limit_request& what, std::uint64_t cost) noexcept;

/// The present period of each calendar budget.
[[nodiscard]] result<void> fill_periods(std::vector<wanted_limit>& limits, timestamp now);

[[nodiscard]] std::vector<engine::limit_check> checks_of(const std::vector<wanted_limit>& limits);
/// Into a step that has checks.
void put_checks(engine::step& into, const std::vector<wanted_limit>& limits);

}  // namespace millrace
