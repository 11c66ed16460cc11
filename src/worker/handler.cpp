#include <millrace/worker/handler.hpp>

#include "run_control.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <utility>

namespace millrace {
namespace {

awaitable<handler_result> run_in_place(blocking_handler run, job_context context) {
  co_return run(context);
}

awaitable<handler_result> run_elsewhere(asio::any_io_executor threads, blocking_handler run,
                                        job_context context) {
  // A thread cannot be cancelled, and its coroutine must not be from another one.
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  co_return co_await asio::co_spawn(threads, run_in_place(std::move(run), std::move(context)),
                                    asio::use_awaitable);
}

}  // namespace

job_context::job_context(std::shared_ptr<worker_detail::run_control> run) noexcept
    : run_(std::move(run)) {}

const engine::leased_job& job_context::leased() const noexcept { return run_->leased(); }
const engine::job& job_context::job() const noexcept { return run_->leased().what; }
std::uint64_t job_context::token() const noexcept { return run_->leased().token; }
std::uint32_t job_context::attempt() const noexcept { return job().attempts; }
const std::string& job_context::data() const noexcept { return job().spec.data; }
const std::string& job_context::checkpoint() const noexcept { return job().checkpoint; }

std::chrono::steady_clock::time_point job_context::hard_deadline() const noexcept {
  return run_->hard_deadline();
}

void job_context::progress(double value, std::string message) const {
  run_->progress(value, std::move(message));
}

void job_context::log(std::string line) const { run_->log(std::move(line)); }

result<void> job_context::save_checkpoint(std::string json) const {
  return run_->save_checkpoint(std::move(json));
}

bool job_context::cancelled() const noexcept { return run_->urgency() != stop_urgency::none; }
stop_urgency job_context::urgency() const noexcept { return run_->urgency(); }
stop_reason job_context::reason() const noexcept { return run_->reason(); }

awaitable<stop_urgency> job_context::stopped(stop_urgency known) const {
  return run_->stopped(known);
}

async_handler on_threads(asio::any_io_executor threads, blocking_handler run) {
  return [threads = std::move(threads), run = std::move(run)](job_context context) {
    return run_elsewhere(threads, run, std::move(context));
  };
}

}  // namespace millrace
