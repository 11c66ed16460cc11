#include "job_watch.hpp"

#include "job_view.hpp"
#include "json_view.hpp"
#include "people.hpp"
#include "run_to_end.hpp"
#include "terminal.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>

#include <chrono>
#include <optional>
#include <ostream>
#include <utility>

namespace millrace::cli {
namespace {

constexpr std::chrono::seconds patience{30};
constexpr std::size_t bar_columns = 24;

/// Shows what the events tell, in the form that was asked for.
class job_display final {
public:
  explicit job_display(const context& with) : with_(with), line_(with.around) {}

  void take(const client::event& told) {
    auto parsed = parse_json(told.data);
    if (!parsed) return;
    if (with_.in.has("--json")) {
      with_.around.out << fmt::format(R"({{"event":"{}","data":{}}})", told.type, told.data) << '\n'
                       << std::flush;
    }
    if (told.type == "end") {
      ended_ = true;
      // Of a job that was deleted this is all there is.
      if (!has_ended(job_)) job_ = std::move(*parsed);
    } else if (told.type == "log") {
      show_log(text_at(*parsed, "text"));
    } else if (told.type == "state") {
      job_ = std::move(*parsed);
      show_job();
    } else if (told.type == "progress" && job_.is_object()) {
      job_.get_object()["progress"] = std::move(*parsed);
      show_job();
    }
  }

  [[nodiscard]] bool ended() const noexcept { return ended_; }

  /// The last word. Requires: `ended`.
  [[nodiscard]] exit_code conclude() {
    line_.clear();
    if (with_.in.has("--json")) return exit_code_of(job_);
    if (text_at(job_, "status") == "completed") {
      const json::value* result = member(job_, "result");
      with_.around.out << (result == nullptr ? "null" : printable(json_text(*result))) << '\n';
    } else {
      const std::string why = printable(text_at(job_, "error"));
      with_.around.err << fmt::format("millrace: {} is {}{}{}\n", text_at(job_, "id"),
                                      text_at(job_, "status"), why.empty() ? "" : ": ", why);
    }
    return exit_code_of(job_);
  }

private:
  void show_log(const std::string& text) {
    if (with_.in.has("--json")) return;
    if (with_.around.out_is_terminal) {
      line_.print_above(paint(with_.around, tint::dim, printable(text)));
    } else {
      with_.around.err << "log: " << printable(text) << '\n' << std::flush;
    }
  }

  void show_job() {
    if (with_.in.has("--json") || has_ended(job_)) return;
    const auto share = number_at(job_, "progress.value");
    const std::string message = printable(text_at(job_, "progress.message"));
    if (with_.around.out_is_terminal) {
      line_.show(fmt::format("{} {:3.0f} %  {}  {}", progress_bar(share.value_or(0), bar_columns),
                             share.value_or(0) * 100, status_text(job_), message));
      return;
    }
    std::string text = status_text(job_);
    if (share) text += fmt::format(", {:.0f} % {}", *share * 100, message);
    if (text == last_) return;
    with_.around.err << text << '\n' << std::flush;
    last_ = std::move(text);
  }

  const context& with_;
  live_line line_;
  json::value job_;
  bool ended_{false};
  std::string last_;
};

awaitable<void> pause(std::chrono::milliseconds time) {
  asio::steady_timer timer{co_await asio::this_coro::executor, time};
  co_await timer.async_wait(asio::use_awaitable);
}

struct watch_end {
  std::optional<error> failed;
};

/// Reads one stream to its end. borrows: awaited in place.
awaitable<std::optional<error>> follow(client::event_stream& events, job_display& display) {
  while (!display.ended()) {
    auto next = co_await events.next();
    if (!next) co_return std::move(next.error());
    if (!*next) break;
    display.take(**next);
  }
  co_return std::nullopt;
}

/// Opens the stream again and again until the job has ended. borrows: run to its end by its caller.
awaitable<watch_end> watch(client::api_client& api, std::string target, job_display& display) {
  std::string last_id;
  auto heard_at = std::chrono::steady_clock::now();
  std::chrono::milliseconds retry{500};
  while (true) {
    std::optional<error> failed;
    auto opened = co_await api.open_events(target, last_id);
    if (opened) {
      failed = co_await follow(*opened, display);
      if (!opened->last_id().empty()) last_id = opened->last_id();
      heard_at = std::chrono::steady_clock::now();
      retry = opened->retry();
    } else {
      failed = std::move(opened.error());
      const bool may_pass = failed->kind == errc::unavailable ||
                            failed->kind == errc::deadline_exceeded ||
                            failed->kind == errc::exhausted;
      if (!may_pass) co_return watch_end{std::move(failed)};
    }
    if (display.ended()) co_return watch_end{};
    if (std::chrono::steady_clock::now() - heard_at > patience) {
      co_return watch_end{std::move(failed)};
    }
    co_await pause(retry);
  }
}

}  // namespace

exit_code watch_job(const context& with, server_call& server, std::string id) {
  job_display display{with};
  const std::string target = fmt::format("/v1/jobs/{}/events", client::encode_segment(id));
  const watch_end end = run_to_end(server.io(), watch(server.api(), target, display));
  if (display.ended()) return display.conclude();
  return report(with, end.failed.value_or(error{.kind = errc::unavailable,
                                                .code = "stream_ended",
                                                .detail = "the server keeps ending the stream"}));
}

}  // namespace millrace::cli
