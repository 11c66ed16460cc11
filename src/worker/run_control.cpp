#include "run_control.hpp"

#include "clean_text.hpp"

#include <millrace/base/json.hpp>
#include <millrace/engine/limits.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

namespace millrace::worker_detail {

run_control::run_control(setup with)
    : leased_(std::move(with.leased)),
      hard_deadline_(with.hard_deadline),
      strand_(std::move(with.strand)),
      stop_changed_(strand_, time_point::max()),
      reported_(std::move(with.reported)) {}

void run_control::mark_reported() {
  if (std::exchange(waits_, true)) return;
  if (reported_) reported_();
}

void run_control::progress(double value, std::string message) {
  if (std::isnan(value)) return;
  const std::lock_guard lock{mutex_};
  if (closed_) return;
  value_ = std::clamp(value, 0.0, 1.0);
  if (!message.empty()) message_ = clean_text(message, engine::message_bytes_max);
  mark_reported();
}

void run_control::log(std::string line) {
  const std::lock_guard lock{mutex_};
  if (closed_) return;
  if (log_.size() == engine::log_lines_max) {
    log_.pop_front();
    ++log_left_out_;
  }
  log_.push_back(clean_text(line, engine::log_line_bytes_max));
  mark_reported();
}

result<void> run_control::save_checkpoint(std::string json) {
  if (json.size() > engine::item_bytes_max) {
    return fail(errc::too_large, "too_large",
                fmt::format("a checkpoint has at most {} bytes", engine::item_bytes_max),
                "checkpoint");
  }
  if (auto checked = check_json(json); !checked) return checked;
  const std::lock_guard lock{mutex_};
  if (closed_) return {};
  checkpoint_ = std::move(json);
  mark_reported();
  return {};
}

run_report run_control::take_report() {
  const std::lock_guard lock{mutex_};
  waits_ = false;
  run_report report{
      .value = std::exchange(value_, std::nullopt),
      .message = std::exchange(message_, std::nullopt),
      .log = {std::make_move_iterator(log_.begin()), std::make_move_iterator(log_.end())},
      .checkpoint = std::exchange(checkpoint_, std::nullopt)};
  log_.clear();
  if (const auto left_out = std::exchange(log_left_out_, 0); left_out > 0) {
    report.log.front() = fmt::format("[{} lines left out]", left_out + 1);
  }
  return report;
}

void run_control::close() {
  const std::lock_guard lock{mutex_};
  closed_ = true;
  reported_ = nullptr;
}

void run_control::stop(stop_urgency urgency, stop_reason reason) {
  {
    const std::lock_guard lock{mutex_};
    if (urgency <= urgency_.load()) return;
    reason_ = reason;
    urgency_ = urgency;
  }
  asio::post(strand_, [self = shared_from_this()] { self->stop_changed_.cancel(); });
}

awaitable<stop_urgency> run_control::stopped(stop_urgency known) {
  const auto self = shared_from_this();
  while (urgency_.load() <= known) {
    co_await stop_changed_.async_wait(asio::as_tuple(asio::use_awaitable));
    // A cancelled wait and a cancelled caller look alike here; the latter throws at its next await.
    const auto cancelled = co_await asio::this_coro::cancellation_state;
    if (cancelled.cancelled() != asio::cancellation_type::none) break;
  }
  co_return urgency_.load();
}

}  // namespace millrace::worker_detail
