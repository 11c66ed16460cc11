#include "serving.hpp"

#include <millrace/base/awaitable.hpp>
#include <millrace/queue/cron_scheduler.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace millrace::cli {
namespace {

/// What hangs is not waited for: everything that was answered is on disk.
constexpr std::chrono::seconds stop_at_most{10};

cron_scheduler_options cron_options(const observe::logger& log) {
  cron_scheduler_options options;
  options.on_trouble = [&log](const error& why) {
    log.event(observe::log_level::warning, "cron_trouble",
              {{"capability", "cron"}, {"code", why.code}, {"error", why.detail}});
  };
  options.on_slot = [&log](const engine::cron_fired& fired) {
    log.event(observe::log_level::debug, "cron_slot",
              {{"capability", "cron"},
               {"project", fired.entry.project},
               {"name", fired.entry.name},
               {"job_id", fired.made ? fired.made->text() : std::string{}}});
  };
  return options;
}

}  // namespace

struct serving::state {
  state(engine::store& store, http::server_options options, const observe::logger& to,
        std::uint32_t thread_count)
      : log(to),
        threads_wanted(thread_count),
        context(static_cast<int>(thread_count)),
        work(context.get_executor()),
        strand(asio::make_strand(context)),
        signals(strand),
        limit(strand),
        server(context, store, std::move(options)),
        cron(strand, store, cron_options(to)) {}

  // On the strand.
  void await_signal();
  void begin_stop();
  static awaitable<void> carry_out_stop(state& self);

  void run_threads();

  const observe::logger& log;
  const std::uint32_t threads_wanted;
  asio::io_context context;
  asio::executor_work_guard<asio::io_context::executor_type> work;
  asio::strand<asio::io_context::executor_type> strand;
  asio::signal_set signals;
  asio::steady_timer limit;
  bool stopping{false};
  std::function<void(http::server&)> reload;
  http::server server;
  cron_scheduler cron;
};

void serving::state::await_signal() {
  signals.async_wait([this](const boost::system::error_code& ec, int number) {
    if (ec) return;
    if (number == SIGHUP) {
      if (reload) reload(server);
      await_signal();
      return;
    }
    if (stopping) {
      log.event(observe::log_level::warning, "stopped_at_once", {{"signal", number}});
      ::_exit(EXIT_FAILURE);
    }
    log.event(observe::log_level::info, "stopping", {{"signal", number}});
    begin_stop();
    await_signal();
  });
}

void serving::state::begin_stop() {
  stopping = true;
  limit.expires_after(stop_at_most);
  limit.async_wait([this](const boost::system::error_code& ec) {
    if (ec) return;
    log.event(observe::log_level::error, "stop_took_too_long");
    ::_exit(EXIT_FAILURE);
  });
  asio::co_spawn(strand, carry_out_stop(*this), [](const std::exception_ptr& failed) {
    if (failed) std::terminate();
  });
}

awaitable<void> serving::state::carry_out_stop(state& self) {
  co_await self.server.stop();
  co_await self.cron.stop();
  self.limit.cancel();
  self.signals.cancel();
  self.work.reset();
}

void serving::state::run_threads() {
  std::vector<std::jthread> threads;
  for (std::uint32_t i = 1; i < threads_wanted; ++i) {
    threads.emplace_back([this] { context.run(); });
  }
  context.run();
}

serving::serving(engine::store& store, http::server_options options, const observe::logger& log,
                 std::uint32_t threads)
    : state_(std::make_unique<state>(store, std::move(options), log, threads)) {}

serving::~serving() = default;

void serving::on_hangup(std::function<void(http::server&)> reload) {
  state_->reload = std::move(reload);
}

result<void> serving::start() {
  boost::system::error_code ec;
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) {
    state_->signals.add(number, ec);
    if (ec) return fail(errc::internal, "signals_unavailable", ec.message());
  }
  if (auto started = state_->server.start(); !started) return started;
  asio::post(state_->strand, [self = state_.get()] {
    self->cron.start();
    self->await_signal();
  });
  return {};
}

void serving::run_until_signal() { state_->run_threads(); }

void serving::stop() {
  asio::post(state_->strand, [self = state_.get()] { self->begin_stop(); });
  state_->run_threads();
}

const http::server& serving::server() const noexcept { return state_->server; }

}  // namespace millrace::cli
