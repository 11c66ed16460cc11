#pragma once

#include "commit_limits.hpp"

#include <millrace/base/error.hpp>
#include <millrace/engine/store.hpp>
#include <millrace/http/session_settings.hpp>

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Several steps as one, as JSON: `{"steps":[{"op":"job.ack",…},…]}`.
namespace millrace::http {

struct commit_request {
  std::vector<engine::step> steps;
  /// The `op` of each.
  std::vector<std::string> ops;
  /// The id of the session that a step names, beside its place; of one that begins a session, once
  /// it has been given.
  std::map<std::size_t, std::string> session_ids;
  std::optional<engine::durability> level;
  /// What steps ask of limits, beside their places. Their steps are made once it is known whose
  /// counts they mean.
  std::map<std::size_t, limit_step> limits;
};

/// Each step is read by the rules of the route that does the same by itself; what that route has in
/// its path stands beside `op`. Errors: those of the routes, with the field below `steps.{index}`.
[[nodiscard]] result<commit_request> decode_commit(std::string_view body,
                                                   const std::string& project,
                                                   const engine::store_traits& store,
                                                   const session_settings& sessions,
                                                   const limit_settings& limits);

/// One entry a step: its `op`, and what the route that does the same would answer.
void append_results(std::string& out, const commit_request& asked,
                    const std::vector<engine::outcome>& outcomes);

/// An error of one step, as one of the commit.
[[nodiscard]] error of_step(error why, std::size_t index);

}  // namespace millrace::http
