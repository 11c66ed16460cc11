#pragma once

#include <millrace/client/endpoint.hpp>
#include <millrace/client/message.hpp>

#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>

#include <string>
#include <vector>

namespace millrace::client {

/// The request as Beast writes it.
[[nodiscard]] boost::beast::http::request<boost::beast::http::string_body> to_wire(
    const request& what, const endpoint& where, const std::string& key);

[[nodiscard]] std::vector<header> from_wire(const boost::beast::http::fields& fields);

/// The largest head of an answer.
inline constexpr std::uint32_t head_bytes_max = 64 * 1024;

}  // namespace millrace::client
