#include "work.hpp"

#include "server_call.hpp"
#include "work_settings.hpp"

#include <millrace/observe/logging.hpp>
#include <millrace/worker/http_source.hpp>
#include <millrace/worker/worker.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <fmt/format.h>

#include <csignal>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <ostream>
#include <utility>

namespace millrace::cli {
namespace {

observe::log_level to_level(severity how) {
  switch (how) {
    case severity::debug: return observe::log_level::debug;
    case severity::info: return observe::log_level::info;
    case severity::warning: return observe::log_level::warning;
    case severity::error: break;
  }
  return observe::log_level::error;
}

/// What runs the jobs: one of the two.
struct runner {
  std::unique_ptr<exec_runner> program;
  std::unique_ptr<http_runner> url;

  [[nodiscard]] async_handler handler() {
    return program != nullptr ? program->handler() : url->handler();
  }
};

result<runner> make_runner(asio::io_context& io, const work_settings& settings) {
  runner made;
  if (settings.program) {
    auto program = exec_runner::create(*settings.program);
    if (!program) return std::unexpected(std::move(program.error()));
    made.program = std::move(*program);
    return made;
  }
  auto url = http_runner::create(io.get_executor(), *settings.url);
  if (!url) {
    // Who runs a worker knows the secret by where it comes from.
    if (url.error().field == "secret") url.error().field = "MILLRACE_WEBHOOK_SECRET";
    return std::unexpected(std::move(url.error()));
  }
  made.url = std::move(*url);
  return made;
}

/// borrows: run to its end by its caller.
awaitable<void> run_worker(worker& work, runner& how, asio::signal_set& signals,
                           std::optional<error>& failed) {
  auto ended = co_await work.run();
  if (!ended) failed = std::move(ended.error());
  if (how.program != nullptr) co_await how.program->close();
  if (how.url != nullptr) how.url->close();
  signals.cancel();
}

void stop_on_signal(asio::signal_set& signals, worker& work, const observe::logger& log) {
  signals.async_wait([&signals, &work, &log](const boost::system::error_code& ec, int number) {
    if (ec) return;
    log.event(observe::log_level::info, "stopping", {{"signal", number}});
    work.stop();
    stop_on_signal(signals, work, log);
  });
}

/// Holds wherever the program goes.
std::string url_for_programs(client::endpoint server) {
  if (server.over == client::endpoint::transport::unix_socket) {
    server.path = std::filesystem::absolute(server.path).lexically_normal();
  }
  return server.text();
}

exit_code work_with(context& with, work_settings settings, asio::io_context& io,
                    client::api_client& server) {
  const observe::logger log{
      {.format = settings.log_format, .level = settings.log_level, .to = &with.around.err}};
  settings.work.log = [&log](severity how, std::string_view line) {
    log.event(to_level(how), "worker", {{"capability", "worker"}, {"message", line}});
  };
  auto how = make_runner(io, settings);
  if (!how) return report_usage(with, "worker", how.error());
  http_source source{server};
  auto work = worker::create(io.get_executor(), source, how->handler(), settings.work);
  if (!work) return report_usage(with, "worker", work.error());
  asio::signal_set signals{io, SIGTERM, SIGINT};
  stop_on_signal(signals, **work, log);
  std::optional<error> failed;
  asio::co_spawn(io, run_worker(**work, *how, signals, failed),
                 [](const std::exception_ptr& thrown) {
                   if (thrown) std::terminate();
                 });
  log.event(observe::log_level::info, "working", {{"server", server.where().text()}});
  io.restart();
  io.run();
  if (failed) return report(with, *failed);
  const worker_stats stats = (*work)->stats();
  log.event(observe::log_level::info, "stopped",
            {{"completed", stats.completed},
             {"failed", stats.failed},
             {"handed_back", stats.handed_back},
             {"lost", stats.lost}});
  return exit_code::done;
}

}  // namespace

exit_code work(context& with) {
  auto settings = read_work_settings(with.in, with.around);
  if (!settings) return report_usage(with, "worker", settings.error());
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "worker", server.error());
  // A server that goes away later is waited for; one that was never there is a mistake to tell.
  const auto alive = (*server)->get("/health/live");
  if (!alive) return report(with, alive.error());
  if (settings->program) settings->program->server_url = url_for_programs((*server)->api().where());
  return work_with(with, std::move(*settings), (*server)->io(), (*server)->api());
}

}  // namespace millrace::cli
