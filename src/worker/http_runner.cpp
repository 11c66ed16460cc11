#include <millrace/worker/http_runner.hpp>

#include "http_outcome.hpp"
#include "job_line.hpp"
#include "webhook_signature.hpp"

#include <millrace/client/api_client.hpp>
#include <millrace/client/endpoint.hpp>
#include <millrace/engine/limits.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/this_coro.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

namespace millrace {
namespace {

using namespace asio::experimental::awaitable_operators;

// An answer somewhat larger than a result may be still says what is wrong with it.
constexpr std::size_t answer_bytes_max = engine::item_bytes_max + 64 * 1024;

std::chrono::milliseconds time_left(const job_context& context) {
  using std::chrono::milliseconds;
  constexpr milliseconds longest = std::chrono::hours{24 * 366};
  const auto left =
      std::chrono::ceil<milliseconds>(context.hard_deadline() - std::chrono::steady_clock::now());
  return std::clamp(left, milliseconds{1}, longest);
}

awaitable<void> until_at_once(job_context context) {
  stop_urgency known = stop_urgency::none;
  while (known != stop_urgency::at_once) known = co_await context.stopped(known);
}

}  // namespace

struct http_runner::state {
  std::string target;
  std::vector<std::string> keys;
  client::api_client server;

  [[nodiscard]] client::request request_for(const job_context& context) const;
  // borrows: the runner outlives its runs
  static awaitable<handler_result> run(state& self, job_context context);
};

client::request http_runner::state::request_for(const job_context& context) const {
  const engine::job& job = context.job();
  const std::string id = job.id.text();
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(
      std::chrono::system_clock::now().time_since_epoch());
  client::request request{
      .method = client::verb::post,
      .target = target,
      .headers = {{"webhook-id", id}, {"webhook-timestamp", std::to_string(now.count())}},
      .body = worker_detail::job_line(context.leased()),
      .timeout = time_left(context)};
  if (!keys.empty()) {
    request.headers.push_back({"webhook-signature", worker_detail::webhook_signature(
                                                        keys, id, now.count(), request.body)});
  }
  if (!job.spec.correlation_id.empty()) {
    request.headers.push_back(
        {"x-correlation-id", client::encode_segment(job.spec.correlation_id)});
  }
  if (!job.spec.traceparent.empty()) {
    request.headers.push_back({"traceparent", job.spec.traceparent});
  }
  return request;
}

awaitable<handler_result> http_runner::state::run(state& self, job_context context) {
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  auto first = co_await (self.server.send(self.request_for(context)) || until_at_once(context));
  auto* const answer = std::get_if<result<client::response>>(&first);
  if (answer == nullptr) co_return job_failed{.error = "the request was given up"};
  if (*answer) co_return worker_detail::http_outcome(**answer);
  const error& why = answer->error();
  co_return job_failed{.error = why.detail, .permanent = why.kind == errc::too_large};
}

http_runner::http_runner(std::unique_ptr<state> s) noexcept : state_(std::move(s)) {}
http_runner::~http_runner() = default;

result<std::unique_ptr<http_runner>> http_runner::create(asio::any_io_executor executor,
                                                         http_options options) {
  auto url = client::parse_url(options.url, "http");
  if (!url) return std::unexpected(std::move(url.error()));
  if (url->where.tls) {
    auto trusted = client::check_ca_file(options.ca_file);
    if (!trusted) return std::unexpected(std::move(trusted.error()));
  }
  std::vector<std::string> keys;
  for (const std::string& secret : options.secrets) {
    auto key = worker_detail::parse_webhook_secret(secret);
    if (!key) return std::unexpected(std::move(key.error()));
    keys.push_back(std::move(*key));
  }
  return std::unique_ptr<http_runner>{new http_runner{std::unique_ptr<state>{
      new state{.target = std::move(url->target),
                .keys = std::move(keys),
                .server = {std::move(executor),
                           {.where = std::move(url->where),
                            .ca_file = std::move(options.ca_file),
                            .connections_max = std::max<std::size_t>(options.connections_max, 1),
                            .response_bytes_max = answer_bytes_max}}}}}};
}

async_handler http_runner::handler() {
  return
      [self = state_.get()](job_context context) { return state::run(*self, std::move(context)); };
}

void http_runner::close() { state_->server.close(); }

}  // namespace millrace
