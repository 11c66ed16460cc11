#include "run_outcome.hpp"

#include "clean_text.hpp"

#include <millrace/base/json.hpp>
#include <millrace/base/text_time.hpp>
#include <millrace/engine/limits.hpp>

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

namespace millrace::worker_detail {
namespace {

std::string lead_sentence(const run_ending& ending) {
  switch (ending.stopped_for) {
    case stop_reason::soft_limit:
      return fmt::format("soft time limit of {} exceeded: ", format_duration(ending.limits.soft));
    case stop_reason::hard_limit:
      return fmt::format("hard time limit of {} exceeded: ", format_duration(ending.limits.hard));
    case stop_reason::cancelled: return "cancelled: ";
    default: return {};
  }
}

struct to_step {
  const engine::leased_job& leased;
  const run_ending& ending;

  settle_step operator()(job_succeeded& success) const {
    std::string result = success.result.empty() ? "null" : std::move(success.result);
    if (result.size() > engine::item_bytes_max) {
      return refuse(fmt::format("result_too_large: the result has more than {} bytes",
                                engine::item_bytes_max));
    }
    // One result that is no JSON would spoil the whole batch it is sent in.
    if (const auto checked = check_json(result); !checked) {
      return refuse(fmt::format("the handler's result is no JSON: {}", checked.error().detail));
    }
    return engine::ack_job{
        .id = leased.what.id, .token = leased.token, .result = std::move(result)};
  }

  settle_step operator()(job_failed& failure) const {
    // What is permanent is so whoever stops; anything else may be the stop's own doing.
    const bool stopped_by_us = ending.stopped_for == stop_reason::shutdown;
    if (stopped_by_us && !failure.permanent) return hand_back(duration{0});
    return engine::fail_job{
        .id = leased.what.id,
        .token = leased.token,
        .error = clean_text(lead_sentence(ending) + failure.error, engine::error_bytes_max),
        .permanent = failure.permanent,
        .retry_in = failure.retry_in};
  }

  settle_step operator()(job_snoozed& snooze) const { return hand_back(snooze.delay); }

  [[nodiscard]] settle_step refuse(std::string why) const {
    return engine::fail_job{.id = leased.what.id,
                            .token = leased.token,
                            .error = std::move(why),
                            .permanent = true,
                            .retry_in = std::nullopt};
  }
  [[nodiscard]] settle_step hand_back(duration delay) const {
    return engine::snooze_job{.id = leased.what.id, .token = leased.token, .delay = delay};
  }
};

}  // namespace

settle_step step_for(const engine::leased_job& leased, run_ending ending) {
  handler_result said = std::move(ending.said);
  return std::visit(to_step{leased, ending}, said);
}

job_failed failure_of(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& e) {
    return {.error = e.what()};
  } catch (...) {
    return {.error = "the handler threw something that is no std::exception"};
  }
}

delivery classify(const error& why) noexcept {
  switch (why.kind) {
    case errc::not_found:
    case errc::conflict: return delivery::lost;
    case errc::exhausted:
    case errc::unavailable:
    case errc::storage_full:
    case errc::outcome_unknown:
    case errc::deadline_exceeded:
    case errc::cancelled:
    case errc::internal: return delivery::again;
    default: return delivery::refused;
  }
}

}  // namespace millrace::worker_detail
