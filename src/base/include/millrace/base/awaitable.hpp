#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

namespace millrace {

namespace asio = boost::asio;

/// What every asynchronous operation of the library returns. It runs on the executor of its caller.
template <class T>
using awaitable = asio::awaitable<T>;

}  // namespace millrace
