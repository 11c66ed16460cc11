#pragma once

#include "limits_codec.hpp"

#include <millrace/engine/store.hpp>
#include <millrace/limiter/limit_plan.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// Limits as steps of a commit.
namespace millrace::http {

struct limit_step {
  enum class verb : std::uint8_t { take, refund, settle, renew, release, block, unblock };
  verb what{verb::take};
  /// Of all but blocks.
  limits_body body;
  /// Of blocks.
  block_body whom;
  /// Once it is known whose counts it means.
  std::optional<limit_plan> plan;
  /// Once it is committed: what its route would answer.
  std::string answer;
};

/// By the rules of the route that does the same. Errors: those of the route.
[[nodiscard]] result<limit_step> decode_limit_step(limit_step::verb what, std::string_view body,
                                                   const std::string& project,
                                                   const limit_settings& settings);

/// Says whose counts it means. Errors: those of the route that hang on no store.
[[nodiscard]] result<void> plan_limits(limit_planner& with, limit_step& step,
                                       const std::string& project);

/// Puts the answer into the step, and returns the headers that go with it.
[[nodiscard]] std::string note_limits(limit_planner& with, limit_step& step,
                                      const engine::limits_checked& came_to, bool replayed,
                                      bool legacy_headers);

/// The commit was refused by the limits of this step: 429, as their route answers.
[[nodiscard]] response limits_refusal(const limit_answer& answer, std::size_t step_index,
                                      bool legacy_headers);

}  // namespace millrace::http
