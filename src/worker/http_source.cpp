#include <millrace/worker/http_source.hpp>

#include "source_codec.hpp"

#include <millrace/client/api_client.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace millrace {
namespace {

using std::chrono::milliseconds;
using worker_detail::decode_changed;

/// On top of a long poll's own wait.
constexpr milliseconds poll_slack{10'000};
constexpr milliseconds call_timeout{10'000};
/// Below the 32 MiB that a server takes, with room for what stands around the results.
constexpr std::size_t bulk_bytes_max = std::size_t{8} << 20U;

client::request post(std::string target, std::string body, milliseconds timeout = call_timeout) {
  return {.method = client::verb::post,
          .target = std::move(target),
          .headers = {},
          .body = std::move(body),
          .timeout = timeout};
}

std::string job_path(const engine::job_id& id, std::string_view tail) {
  return fmt::format("/v1/jobs/{}{}", client::encode_segment(id.text()), tail);
}

// borrows: the source outlives its calls, and awaits them all
awaitable<result<engine::job_changed>> change_one(client::api_client& server,
                                                  client::request what) {
  auto answer = co_await server.call(std::move(what));
  if (!answer) co_return std::unexpected(std::move(answer.error()));
  co_return decode_changed(answer->body);
}

// All of them at the same time; as many as the client has connections are really under way.
awaitable<std::vector<result<engine::job_changed>>> change_each(
    client::api_client& server, std::vector<client::request> requests) {
  std::vector<result<engine::job_changed>> answers;
  if (requests.empty()) co_return answers;
  if (requests.size() == 1) {
    answers.push_back(co_await change_one(server, std::move(requests.front())));
    co_return answers;
  }
  const auto executor = co_await asio::this_coro::executor;
  const auto begin = [&](client::request& what) {
    return asio::co_spawn(executor, change_one(server, std::move(what)), asio::deferred);
  };
  std::vector<decltype(begin(requests.front()))> calls;
  calls.reserve(requests.size());
  for (client::request& what : requests) calls.push_back(begin(what));
  auto all = co_await asio::experimental::make_parallel_group(std::move(calls))
                 .async_wait(asio::experimental::wait_for_all(), asio::use_awaitable);
  co_return std::get<2>(std::move(all));
}

// One bulk request, for entries that have been made already.
awaitable<std::vector<result<std::string>>> send_bulk(client::api_client& server,
                                                      std::string target, std::string entries,
                                                      std::size_t count, milliseconds timeout) {
  auto answer =
      co_await server.call(post(std::move(target), "{\"jobs\":[" + entries + "]}", timeout));
  result<std::vector<result<std::string>>> told =
      answer ? worker_detail::decode_entries(answer->body, count)
             : std::unexpected(std::move(answer.error()));
  if (told) co_return std::move(*told);
  co_return std::vector<result<std::string>>(count, std::unexpected(told.error()));
}

template <class Step>
awaitable<std::vector<result<std::string>>> send_entries(client::api_client& server,
                                                         std::string target,
                                                         std::vector<Step> steps,
                                                         milliseconds timeout) {
  std::vector<result<std::string>> all;
  std::string entries;
  std::size_t count = 0;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (!entries.empty()) entries += ',';
    entries += worker_detail::encode_entry(steps[i]);
    ++count;
    if (i + 1 < steps.size() && entries.size() < bulk_bytes_max) continue;
    auto some = co_await send_bulk(server, target, std::exchange(entries, {}),
                                   std::exchange(count, 0), timeout);
    for (auto& one : some) all.push_back(std::move(one));
  }
  co_return all;
}

template <class Value>
result<Value> decoded(const result<std::string>& told, result<Value> (*decode)(std::string_view)) {
  if (!told) return std::unexpected(told.error());
  return decode(*told);
}

}  // namespace

http_source::http_source(client::api_client& server) noexcept : server_(server) {}

awaitable<result<std::vector<engine::leased_job>>> http_source::reserve(reserve_request request) {
  const auto timeout = std::chrono::ceil<milliseconds>(request.wait) + poll_slack;
  auto answer = co_await server_.call(
      post("/v1/queues:reserve", worker_detail::encode_reserve(request), timeout));
  if (!answer) co_return std::unexpected(std::move(answer.error()));
  co_return worker_detail::decode_jobs(answer->body);
}

awaitable<std::vector<result<engine::job_changed>>> http_source::settle(
    std::vector<settle_step> steps) {
  std::vector<engine::ack_job> acks;
  std::vector<std::size_t> ack_places;
  std::vector<client::request> others;
  std::vector<std::size_t> other_places;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (auto* ack = std::get_if<engine::ack_job>(&steps[i])) {
      acks.push_back(std::move(*ack));
      ack_places.push_back(i);
      continue;
    }
    other_places.push_back(i);
    if (const auto* failed = std::get_if<engine::fail_job>(&steps[i])) {
      others.push_back(post(job_path(failed->id, ":fail"), worker_detail::encode_fail(*failed)));
    } else {
      const auto& snooze = std::get<engine::snooze_job>(steps[i]);
      others.push_back(post(job_path(snooze.id, ":snooze"), worker_detail::encode_snooze(snooze)));
    }
  }
  std::vector<result<engine::job_changed>> answers(steps.size());
  const auto acked = co_await send_entries(server_, "/v1/jobs:ack", std::move(acks), call_timeout);
  for (std::size_t i = 0; i < acked.size(); ++i) {
    answers[ack_places[i]] = decoded(acked[i], &decode_changed);
  }
  auto changed = co_await change_each(server_, std::move(others));
  for (std::size_t i = 0; i < changed.size(); ++i) {
    answers[other_places[i]] = std::move(changed[i]);
  }
  co_return answers;
}

awaitable<std::vector<result<engine::lease_extended>>> http_source::extend(
    std::vector<engine::extend_lease> steps) {
  // A renewal that takes longer than the lease has come too late; better to try anew before.
  duration timeout = call_timeout;
  for (const engine::extend_lease& step : steps) {
    if (step.lease > duration{0}) timeout = std::min(timeout, step.lease);
  }
  const auto told = co_await send_entries(server_, "/v1/jobs:extend", std::move(steps),
                                          std::chrono::ceil<milliseconds>(timeout));
  std::vector<result<engine::lease_extended>> answers;
  answers.reserve(told.size());
  for (const auto& one : told) {
    answers.push_back(decoded(one, &worker_detail::decode_extended));
  }
  co_return answers;
}

awaitable<std::vector<result<engine::job_changed>>> http_source::report(
    std::vector<engine::report_progress> steps) {
  std::vector<client::request> requests;
  requests.reserve(steps.size());
  for (const engine::report_progress& step : steps) {
    client::request what = post(job_path(step.id, "/progress"), worker_detail::encode_report(step));
    what.method = client::verb::put;
    requests.push_back(std::move(what));
  }
  return change_each(server_, std::move(requests));
}

awaitable<std::vector<result<std::uint32_t>>> http_source::tell(
    std::vector<engine::put_progress> steps) {
  std::vector<result<std::uint32_t>> totals;
  totals.reserve(steps.size());
  for (const engine::put_progress& step : steps) {
    client::request what =
        post(fmt::format("/v1/progress/{}", client::encode_segment(step.correlation_id)),
             worker_detail::encode_progress(step));
    what.method = client::verb::put;
    auto answer = co_await server_.call(std::move(what));
    if (answer) {
      totals.push_back(worker_detail::decode_total_steps(answer->body));
    } else {
      totals.emplace_back(std::unexpected(std::move(answer.error())));
    }
  }
  co_return totals;
}

}  // namespace millrace
