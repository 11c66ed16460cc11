#pragma once

#include <millrace/base/awaitable.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <exception>
#include <optional>
#include <utility>

namespace millrace::client {

/// Runs one coroutine to its end on `context`, which is run by the calling thread. For tests.
template <class T>
T run(asio::io_context& context, awaitable<T> work) {
  std::optional<T> got;
  asio::co_spawn(context, std::move(work), [&got](std::exception_ptr failed, T value) {
    if (failed) std::rethrow_exception(failed);
    got.emplace(std::move(value));
  });
  context.restart();
  context.run();
  return std::move(got).value();
}

}  // namespace millrace::client
