// Jobs in one's own process, without a server: enqueue one, take it, acknowledge it.

#include <millrace/base/awaitable.hpp>
#include <millrace/engine_embedded/embedded_store.hpp>
#include <millrace/queue/queue.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <chrono>
#include <cstdio>
#include <exception>
#include <expected>
#include <filesystem>
#include <memory>
#include <utility>

namespace {

namespace asio = boost::asio;
using millrace::error;
using millrace::result;

millrace::awaitable<result<void>> send_and_take_one_mail(millrace::engine::store& store) {
  millrace::queues queues{store};

  millrace::enqueue_request mail{.queue = {.name = "mail"},
                                 .spec = {.type = "welcome", .data = R"({"to":"ada"})"}};
  auto made = co_await queues.enqueue(std::move(mail));
  if (!made) co_return std::unexpected(made.error());
  std::printf("%s is on disk\n", made->made.id.text().c_str());

  millrace::reserve_request wanted{.queues = {{.queue = {.name = "mail"}}},
                                   .wait = std::chrono::seconds{5},
                                   .worker = "consumer"};
  auto taken = co_await queues.reserve(std::move(wanted));
  if (!taken) co_return std::unexpected(taken.error());
  if (taken->empty()) co_return millrace::fail(millrace::errc::internal, "no_job", "No job came.");
  const millrace::engine::leased_job& job = taken->front();
  std::printf("sending %s with token %llu\n", job.what.spec.data.c_str(),
              static_cast<unsigned long long>(job.token));

  millrace::engine::ack_job done{.id = job.what.id, .token = job.token, .result = R"("sent")"};
  auto ended = co_await queues.ack(std::move(done));
  if (!ended) co_return std::unexpected(ended.error());
  co_return result<void>{};
}

int report(const error& why) {
  std::fprintf(stderr, "%s\n", why.detail.c_str());
  return 1;
}

}  // namespace

int main() {
  auto store = millrace::embedded::embedded_store::open({.directory = "consumer-state"});
  if (!store) return report(store.error());

  asio::io_context context;
  result<void> outcome;
  asio::co_spawn(context, send_and_take_one_mail(**store),
                 [&outcome](std::exception_ptr thrown, result<void> ended) {
                   if (thrown) std::rethrow_exception(thrown);
                   outcome = std::move(ended);
                 });
  context.run();
  return outcome ? 0 : report(outcome.error());
}
