#include "limit_answers.hpp"

#include <algorithm>

namespace millrace {
namespace {

void put_permit(limit_answer& into, const std::vector<wanted_limit>& limits, std::uint64_t permit) {
  into.permit = permit;
  if (permit == 0) return;
  duration shortest = duration::max();
  for (const wanted_limit& each : limits) {
    if (is_of_permits(each)) shortest = std::min(shortest, each.check.window);
  }
  into.permit_ends = into.at + shortest;
}

}  // namespace

limit_answer answer_of(const std::vector<wanted_limit>& limits,
                       const engine::limits_checked& checked) {
  limit_answer out{.allowed = checked.allowed, .granted = checked.granted, .at = checked.at};
  put_permit(out, limits, checked.permit);
  for (std::size_t i = 0; i < limits.size(); ++i) {
    const engine::limit_check& check = limits[i].check;
    out.limits.push_back({.scope = check.scope,
                          .id = check.id,
                          .window = limits[i].window(),
                          .algorithm = check.algorithm,
                          .cost = check.cost,
                          .dry_run = check.dry_run,
                          .state = checked.limits[i]});
    out.limits.back().state.window_start += check.window - limits[i].window();
  }
  out.binding = binding_of(out.limits, out.allowed);
  return out;
}

}  // namespace millrace
