#include "pipeline_run.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace pipeline {
namespace {

namespace asio = boost::asio;
namespace json = boost::json;
using millrace::awaitable;
using millrace::result;
using millrace::client::request;
using millrace::client::response;
using millrace::client::verb;

constexpr std::size_t jobs_per_request = 100;
/// Jobs end about in the order they were sent, so looking at the oldest that have not is enough.
constexpr std::size_t looked_at_once = 64;
constexpr std::chrono::milliseconds look_interval{120};

result<json::value> parsed(const response& answer) {
  boost::system::error_code failed;
  json::value body = json::parse(answer.body, failed);
  if (failed) {
    return millrace::fail(millrace::errc::malformed, "bad_answer",
                          "the server's answer is not JSON: " + failed.message());
  }
  return body;
}

json::object job_of(const planned_file& planned, const std::string& correlation_id) {
  const std::string name = planned.file.filename().string();
  return {{"type", "process_file"},
          {"data", {{"path", planned.file.string()}}},
          {"max_attempts", 4},
          {"backoff", {{"strategy", "fixed"}, {"base", 1}, {"jitter", "none"}}},
          {"labels", {{"file", name.substr(0, 200)}}},
          {"correlation_id", correlation_id}};
}

std::string text_at(const json::value& state, std::string_view member) {
  const json::object* object = state.if_object();
  const json::value* found = object == nullptr ? nullptr : object->if_contains(member);
  const json::string* text = found == nullptr ? nullptr : found->if_string();
  return text == nullptr ? std::string{} : std::string{*text};
}

awaitable<void> pause(std::chrono::milliseconds span) {
  asio::steady_timer timer{co_await asio::this_coro::executor, span};
  co_await timer.async_wait(asio::use_awaitable);
}

}  // namespace

std::string tracked_job::status() const { return text_at(state, "status"); }

bool tracked_job::ended() const {
  const std::string now = status();
  return now == "completed" || now == "dead" || now == "cancelled";
}

pipeline_run::pipeline_run(millrace::client::api_client& server) noexcept : server_(server) {}

awaitable<result<void>> pipeline_run::enqueue(std::vector<planned_file> plan,
                                              std::string correlation_id) {
  std::map<std::string, std::vector<planned_file>> by_queue;
  for (planned_file& planned : plan) by_queue[planned.queue].push_back(std::move(planned));
  for (auto& [queue, files] : by_queue) {
    for (std::size_t at = 0; at < files.size(); at += jobs_per_request) {
      const std::size_t end = std::min(files.size(), at + jobs_per_request);
      std::vector<planned_file> some{files.begin() + static_cast<std::ptrdiff_t>(at),
                                     files.begin() + static_cast<std::ptrdiff_t>(end)};
      result<void> sent = co_await enqueue_some(queue, std::move(some), correlation_id);
      if (!sent) co_return sent;
    }
  }
  co_return result<void>{};
}

awaitable<result<void>> pipeline_run::enqueue_some(std::string queue,
                                                   std::vector<planned_file> files,
                                                   std::string correlation_id) {
  json::array body;
  for (const planned_file& planned : files) body.push_back(job_of(planned, correlation_id));
  request ask{.method = verb::post,
              .target = fmt::format("/v1/queues/{}/jobs?atomic=true", queue),
              .body = json::serialize(body)};
  result<response> answer = co_await server_.call(std::move(ask));
  if (!answer) co_return std::unexpected(answer.error());
  result<json::value> made = parsed(*answer);
  if (!made) co_return std::unexpected(made.error());
  const json::array& jobs = made->at("jobs").as_array();
  for (std::size_t i = 0; i < jobs.size() && i < files.size(); ++i) {
    jobs_.push_back({text_at(jobs[i], "id"), queue, files[i].file.string(), jobs[i]});
  }
  co_return result<void>{};
}

awaitable<result<void>> pipeline_run::refresh(std::size_t index) {
  request ask{.target = "/v1/jobs/" + millrace::client::encode_segment(jobs_[index].id)};
  result<response> answer = co_await server_.call(std::move(ask));
  if (!answer) co_return std::unexpected(answer.error());
  result<json::value> state = parsed(*answer);
  if (!state) co_return std::unexpected(state.error());
  jobs_[index].state = std::move(*state);
  co_return result<void>{};
}

awaitable<result<void>> pipeline_run::follow(std::function<void(const run_counts&)> draw) {
  while (true) {
    std::size_t looked_at = 0;
    for (std::size_t i = 0; i < jobs_.size() && looked_at < looked_at_once; ++i) {
      if (jobs_[i].ended()) continue;
      ++looked_at;
      result<void> seen = co_await refresh(i);
      if (!seen) co_return seen;
    }
    const run_counts now = counts();
    draw(now);
    if (now.ended() == now.total) co_return result<void>{};
    co_await pause(look_interval);
  }
}

awaitable<result<tracked_job>> pipeline_run::relate_terms(std::string correlation_id) {
  json::array documents;
  for (const tracked_job& job : jobs_) {
    const json::object* state = job.state.if_object();
    const json::value* found = state == nullptr ? nullptr : state->if_contains("result");
    const json::object* facts = found == nullptr ? nullptr : found->if_object();
    const json::value* terms = facts == nullptr ? nullptr : facts->if_contains("terms");
    if (terms != nullptr && terms->is_array()) documents.push_back(*terms);
  }
  const json::object body{{"type", "relate_terms"},
                          {"data", {{"documents", std::move(documents)}}},
                          {"correlation_id", correlation_id}};
  request ask{
      .method = verb::post, .target = "/v1/queues/graph/jobs", .body = json::serialize(body)};
  result<response> answer = co_await server_.call(std::move(ask));
  if (!answer) co_return std::unexpected(answer.error());
  result<json::value> made = parsed(*answer);
  if (!made) co_return std::unexpected(made.error());
  jobs_.push_back({text_at(*made, "id"), "graph", "(terms of all documents)", *made});
  while (!jobs_.back().ended()) {
    co_await pause(look_interval);
    result<void> seen = co_await refresh(jobs_.size() - 1);
    if (!seen) co_return std::unexpected(seen.error());
  }
  co_return jobs_.back();
}

run_counts pipeline_run::counts() const {
  run_counts out{.total = jobs_.size()};
  for (const tracked_job& job : jobs_) {
    const std::string status = job.status();
    if (status == "completed") ++out.completed;
    if (status == "dead" || status == "cancelled") ++out.dead;
    if (status == "running") ++out.running;
    if (status == "retrying") ++out.retrying;
  }
  return out;
}

}  // namespace pipeline
