#pragma once

#include "outcome.hpp"
#include "progress_bar.hpp"
#include "run_plan.hpp"

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>
#include <millrace/client/api_client.hpp>

#include <boost/json/value.hpp>

#include <functional>
#include <string>
#include <vector>

namespace pipeline {

/// One file on its way: its job, and the job's last known state as the server tells it.
struct tracked_job {
  std::string id;
  std::string queue;
  std::string file;
  boost::json::value state;

  [[nodiscard]] std::string status() const;
  [[nodiscard]] bool ended() const;
};

/// Sends the files as jobs and follows them to their end.
class pipeline_run final {
public:
  explicit pipeline_run(millrace::client::api_client& server) noexcept;

  /// One job a file, a hundred a request, with one correlation id for the whole run.
  [[nodiscard]] millrace::awaitable<millrace::result<void>> enqueue(std::vector<planned_file> plan,
                                                                    std::string correlation_id);

  /// Until every job has ended; `draw` is called with the counts in between.
  [[nodiscard]] millrace::awaitable<millrace::result<void>> follow(
      std::function<void(const run_counts&)> draw);

  /// One job over the terms of all completed documents; its state when it has ended.
  [[nodiscard]] millrace::awaitable<millrace::result<tracked_job>> relate_terms(
      std::string correlation_id);

  [[nodiscard]] const std::vector<tracked_job>& jobs() const noexcept { return jobs_; }
  [[nodiscard]] run_counts counts() const;

private:
  [[nodiscard]] millrace::awaitable<millrace::result<void>> enqueue_some(
      std::string queue, std::vector<planned_file> files, std::string correlation_id);
  [[nodiscard]] millrace::awaitable<millrace::result<void>> refresh(std::size_t index);

  millrace::client::api_client& server_;
  std::vector<tracked_job> jobs_;
};

}  // namespace pipeline
