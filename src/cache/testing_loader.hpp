#pragma once

#include <millrace/cache/shared_cache.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <optional>

/// For tests only.
namespace millrace::cache {

/// A loader that ends when it is let, and counts how often it was called.
struct controlled_loader {
  explicit controlled_loader(asio::io_context& on)
      : gate(on, asio::steady_timer::time_point::max()) {}

  static awaitable<result<std::optional<loaded_value>>> call(controlled_loader* self) {
    ++self->calls;
    while (!self->open) {
      boost::system::error_code cut;
      co_await self->gate.async_wait(asio::redirect_error(asio::use_awaitable, cut));
    }
    co_return self->answer;
  }
  loader function() {
    return [this] { return call(this); };
  }
  void let() {
    open = true;
    gate.cancel();
  }

  asio::steady_timer gate;
  bool open{false};
  int calls{0};
  result<std::optional<loaded_value>> answer{loaded_value{.value = "loaded"}};
};

}  // namespace millrace::cache
