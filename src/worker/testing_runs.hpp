#pragma once

#include "run_control.hpp"

#include <millrace/base/testing.hpp>
#include <millrace/worker/handler.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

/// For this room's tests only.
namespace millrace {

/// A folder of its own that goes with the test.
class temp_folder final {
public:
  temp_folder() {
    std::string name = (std::filesystem::temp_directory_path() / "millrace-worker-XXXXXX").string();
    MILLRACE_ASSERT(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~temp_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  temp_folder(const temp_folder&) = delete;
  temp_folder& operator=(const temp_folder&) = delete;

  [[nodiscard]] std::filesystem::path operator/(const std::string& name) const {
    return path_ / name;
  }

  /// An executable `/bin/sh` script.
  [[nodiscard]] std::string script(const std::string& name, const std::string& text) const {
    const auto file = path_ / name;
    std::ofstream{file} << "#!/bin/sh\n" << text;
    std::filesystem::permissions(file, std::filesystem::perms::owner_all);
    return file.string();
  }

  [[nodiscard]] std::string read(const std::string& name) const {
    std::ifstream file{path_ / name};
    return {std::istreambuf_iterator<char>{file}, {}};
  }

private:
  std::filesystem::path path_;
};

/// The process is there, and no zombie.
inline bool is_alive(pid_t pid) {
  std::ifstream stat{"/proc/" + std::to_string(pid) + "/stat"};
  const std::string text{std::istreambuf_iterator<char>{stat}, {}};
  const std::size_t name_end = text.rfind(')');
  return name_end != std::string::npos && text[name_end + 2] != 'Z';
}

/// Waits for something another process does. Ends the test after ten seconds.
inline bool eventually(const std::function<bool()>& holds) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{10};
  while (!holds()) {
    if (std::chrono::steady_clock::now() > until) return false;
    // tidy: allow sleeping_test because another process cannot tell us
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
  }
  return true;
}

inline engine::leased_job test_job(std::string data = "null") {
  engine::leased_job leased;
  leased.what.id = {.tag = "docs", .stamp = 1};
  leased.what.queue.name = "docs";
  leased.what.attempts = 1;
  leased.what.spec.type = "text";
  leased.what.spec.data = std::move(data);
  leased.what.spec.correlation_id = "corr-7";
  leased.token = 17;
  return leased;
}

/// Runs a handler once, as the worker would.
struct one_run {
  asio::io_context context{1};
  engine::leased_job job = test_job();
  /// Called on the handler's thread when the run reports something.
  std::function<void(worker_detail::run_control&)> on_report;
  worker_detail::run_report report;

  handler_result operator()(const async_handler& handler) {
    const auto place = std::make_shared<std::weak_ptr<worker_detail::run_control>>();
    const auto control =
        std::make_shared<worker_detail::run_control>(worker_detail::run_control::setup{
            .leased = job, .strand = context.get_executor(), .reported = [this, place] {
              hear_later(place->lock());
            }});
    *place = control;
    handler_result outcome = run_coro(context, handler(job_context{control}));
    gather(*control);
    return outcome;
  }

  [[nodiscard]] std::string logged() const {
    std::string lines;
    for (const std::string& line : report.log) lines += line + "\n";
    return lines;
  }

private:
  // Not at once: whoever reports holds the lock of the run.
  void hear_later(std::shared_ptr<worker_detail::run_control> control) {
    asio::post(context, [this, control = std::move(control)] {
      gather(*control);
      if (on_report) on_report(*control);
    });
  }

  void gather(worker_detail::run_control& control) {
    auto newer = control.take_report();
    if (newer.value) report.value = newer.value;
    if (newer.message) report.message = newer.message;
    if (newer.checkpoint) report.checkpoint = newer.checkpoint;
    report.log.insert(report.log.end(), newer.log.begin(), newer.log.end());
  }
};

}  // namespace millrace
