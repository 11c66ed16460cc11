#pragma once

#include "captured.hpp"
#include "run_to_end.hpp"

#include <millrace/engine/async.hpp>
#include <millrace/engine_model/model_store.hpp>
#include <millrace/http/server.hpp>
#include <millrace/queue/queue.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <cstdlib>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace millrace::cli {

/// A server over the reference engine, in this process, and a world whose commands speak to it.
/// For tests.
class served final {
public:
  explicit served(http::server_options options = {})
      : work_(context_.get_executor()), server_(context_, store_, on_any_port(std::move(options))) {
    if (!server_.start()) std::abort();
    world.variables["MILLRACE_URL"] = server_.addresses().front();
    thread_ = std::jthread{[this] { context_.run(); }};
  }

  ~served() {
    asio::co_spawn(context_, server_.stop(), [this](const std::exception_ptr&) { work_.reset(); });
  }
  served(const served&) = delete;
  served& operator=(const served&) = delete;

  /// Takes the next job of a queue, as a worker does.
  engine::leased_job lease(const std::string& queue) {
    engine::lease_jobs step{.queues = {{.name = queue}}};
    return commit<engine::jobs_leased>(std::move(step)).jobs.at(0);
  }

  /// Makes a job of the queue dead. Requires: one is available.
  void kill_one(const std::string& queue, std::string why) {
    const auto job = lease(queue);
    engine::fail_job step{
        .id = job.what.id, .token = job.token, .error = std::move(why), .permanent = true};
    (void)commit<engine::job_changed>(std::move(step));
  }

  template <class Outcome, class Step>
  Outcome commit(Step step) {
    engine::transaction one{.level = engine::durability::memory};
    one.steps.emplace_back(std::move(step));
    auto done = engine::blocking::commit(store_, std::move(one));
    return std::get<Outcome>(std::move(done.value().outcomes.front()));
  }

  captured world;

private:
  static http::server_options on_any_port(http::server_options options) {
    options.listen = {"127.0.0.1:0"};
    return options;
  }

  model::model_store store_;
  asio::io_context context_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  http::server server_;
  std::jthread thread_;
};

}  // namespace millrace::cli
