#pragma once

#include <millrace/worker/job_source.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

/// For this room's tests only.
namespace millrace {

/// A source that hands out what it is given and answers as it is told to, and remembers every call.
/// Threading: one thread.
class scripted_source final : public job_source {
public:
  /// Adds a job; answers its id.
  engine::job_id add(std::string data = "null") {
    engine::leased_job leased;
    leased.what.id = {.tag = "q", .stamp = ++stamp_};
    leased.what.queue.name = "q";
    leased.what.attempts = 1;
    leased.what.spec.data = std::move(data);
    leased.token = 1000 + stamp_;
    waiting.push_back(leased);
    if (wake_ != nullptr) wake_->cancel();
    return leased.what.id;
  }

  awaitable<result<std::vector<engine::leased_job>>> reserve(reserve_request request) override {
    reserves.push_back(request);
    if (reserve_error) co_return std::unexpected(*reserve_error);
    if (waiting.empty()) {
      asio::steady_timer timer{co_await asio::this_coro::executor, request.wait};
      wake_ = &timer;
      co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
      wake_ = nullptr;
    }
    std::vector<engine::leased_job> jobs;
    while (!waiting.empty() && jobs.size() < request.max) {
      jobs.push_back(std::move(waiting.front()));
      waiting.pop_front();
    }
    given += jobs.size();
    co_return jobs;
  }

  awaitable<std::vector<result<engine::job_changed>>> settle(
      std::vector<settle_step> steps) override {
    settles.push_back(steps);
    if (settle_takes > duration{0}) {
      asio::steady_timer timer{co_await asio::this_coro::executor, settle_takes};
      co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    std::vector<result<engine::job_changed>> answers;
    for (const settle_step& step : steps) {
      if (settle_error) {
        answers.emplace_back(std::unexpected(*settle_error));
      } else {
        const bool acked = std::holds_alternative<engine::ack_job>(step);
        answers.emplace_back(engine::job_changed{.status = acked ? engine::job_status::completed
                                                                 : engine::job_status::retrying});
        settled.push_back(step);
      }
    }
    if (on_settle) on_settle();
    co_return answers;
  }

  awaitable<std::vector<result<engine::lease_extended>>> extend(
      std::vector<engine::extend_lease> steps) override {
    extends.push_back(steps);
    std::vector<result<engine::lease_extended>> answers;
    for (std::size_t i = 0; i < steps.size(); ++i) {
      if (extend_error) {
        answers.emplace_back(std::unexpected(*extend_error));
      } else {
        answers.emplace_back(
            engine::lease_extended{.leased_until = {}, .cancel_requested = cancel_requested});
      }
    }
    if (on_extend) on_extend();
    co_return answers;
  }

  awaitable<std::vector<result<engine::job_changed>>> report(
      std::vector<engine::report_progress> steps) override {
    reports.insert(reports.end(), steps.begin(), steps.end());
    std::vector<result<engine::job_changed>> answers;
    for (std::size_t i = 0; i < steps.size(); ++i) {
      if (report_error) {
        answers.emplace_back(std::unexpected(*report_error));
      } else {
        answers.emplace_back();
      }
    }
    co_return answers;
  }

  awaitable<std::vector<result<std::uint32_t>>> tell(
      std::vector<engine::put_progress> steps) override {
    std::vector<result<std::uint32_t>> answers;
    for (engine::put_progress& step : steps) {
      if (step.total_steps) total_steps = step.total_steps;
      if (total_steps) {
        answers.emplace_back(*total_steps);
      } else {
        answers.emplace_back(std::unexpected(
            error{.kind = errc::not_found, .code = "progress_not_found", .detail = "none yet"}));
      }
      told.push_back(std::move(step));
    }
    co_return answers;
  }

  std::deque<engine::leased_job> waiting;
  std::optional<error> reserve_error, settle_error, extend_error, report_error;
  bool cancel_requested{false};
  duration settle_takes{0};
  std::function<void()> on_settle, on_extend;

  std::size_t given{0};
  std::vector<reserve_request> reserves;
  std::vector<std::vector<settle_step>> settles;
  std::vector<settle_step> settled;
  std::vector<std::vector<engine::extend_lease>> extends;
  std::vector<engine::report_progress> reports;
  /// Of the progress that there is of the request.
  std::optional<std::uint32_t> total_steps;
  std::vector<engine::put_progress> told;

private:
  std::uint64_t stamp_{0};
  asio::steady_timer* wake_{nullptr};
};

inline error away() {
  return {.kind = errc::unavailable, .code = "no_server", .detail = "nobody there"};
}
inline error stale() {
  return {.kind = errc::conflict, .code = "stale_token", .detail = "overtaken"};
}

}  // namespace millrace
