#pragma once

#include <millrace/base/awaitable.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <exception>
#include <optional>
#include <utility>

namespace millrace::cli {

/// Runs one coroutine to its end on the calling thread.
///
/// Errors: what it throws ends the process: nothing of ours throws across a coroutine's end.
template <class T>
[[nodiscard]] T run_to_end(asio::io_context& io, awaitable<T> work) {
  std::optional<T> got;
  asio::co_spawn(io, std::move(work), [&got](const std::exception_ptr& failed, T value) {
    if (failed) std::terminate();
    got.emplace(std::move(value));
  });
  io.restart();
  io.run();
  return std::move(*got);
}

}  // namespace millrace::cli
