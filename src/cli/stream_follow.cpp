#include "stream_follow.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <utility>

namespace millrace::cli {
namespace {

constexpr std::chrono::seconds patience{30};
constexpr std::chrono::milliseconds first_retry{500};

awaitable<void> pause(std::chrono::milliseconds time) {
  asio::steady_timer timer{co_await asio::this_coro::executor, time};
  co_await timer.async_wait(asio::use_awaitable);
}

struct reading {
  bool enough{false};
  std::optional<error> failed;
};

// borrows: awaited in place
awaitable<reading> read_to_end(client::event_stream& events,
                               const std::function<bool(const client::event&)>& take) {
  while (true) {
    auto next = co_await events.next();
    if (!next) co_return reading{.failed = std::move(next.error())};
    if (!*next) co_return reading{};
    if (!take(**next)) co_return reading{.enough = true};
  }
}

bool may_pass(const error& why) {
  return why.kind == errc::unavailable || why.kind == errc::deadline_exceeded ||
         why.kind == errc::exhausted;
}

}  // namespace

awaitable<std::optional<error>> follow_stream(client::api_client& api, std::string target,
                                              std::string last_id,
                                              std::function<bool(const client::event&)> take) {
  auto heard_at = std::chrono::steady_clock::now();
  std::chrono::milliseconds retry = first_retry;
  while (true) {
    std::optional<error> failed;
    auto opened = co_await api.open_events(target, last_id);
    if (opened) {
      reading got = co_await read_to_end(*opened, take);
      if (got.enough) co_return std::nullopt;
      failed = std::move(got.failed);
      if (!opened->last_id().empty()) last_id = opened->last_id();
      heard_at = std::chrono::steady_clock::now();
      retry = opened->retry();
    } else {
      failed = std::move(opened.error());
      if (!may_pass(*failed)) co_return failed;
    }
    if (std::chrono::steady_clock::now() - heard_at > patience) {
      co_return failed.value_or(error{.kind = errc::unavailable,
                                      .code = "stream_ended",
                                      .detail = "the server keeps ending the stream"});
    }
    co_await pause(retry);
  }
}

}  // namespace millrace::cli
