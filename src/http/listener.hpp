#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::http {

/// Opens listening sockets. Errors: invalid_argument (field `listen`), unavailable
/// (address_in_use, listen_failed).
[[nodiscard]] result<std::vector<asio::ip::tcp::acceptor>> listen_tcp(
    const asio::any_io_executor& on, const std::string& address);

/// Mode 0600. A socket file without a server behind it is replaced; anything else that stands at
/// the path is left alone (listen_failed).
[[nodiscard]] result<asio::local::stream_protocol::acceptor> listen_unix(
    const asio::any_io_executor& on, const std::filesystem::path& path);

}  // namespace millrace::http
