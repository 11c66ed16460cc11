#include "message.hpp"

#include <algorithm>
#include <utility>

namespace millrace::http {
namespace {

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Case is ignored in names of types, parameters and expectations.
bool is_word(std::string_view text, std::string_view word) noexcept {
  return std::ranges::equal(text, word, {}, lower);
}

std::string_view trimmed(std::string_view text) noexcept {
  const std::size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  text.remove_prefix(begin);
  return text.substr(0, text.find_last_not_of(" \t") + 1);
}

}  // namespace

std::string_view to_string(method verb) noexcept {
  switch (verb) {
    case method::get: return "GET";
    case method::head: return "HEAD";
    case method::post: return "POST";
    case method::put: return "PUT";
    case method::patch: return "PATCH";
    case method::remove: return "DELETE";
    case method::options: return "OPTIONS";
    case method::other: return "OTHER";
  }
  return "OTHER";
}

void request::clear() noexcept {
  verb = method::other;
  target.clear();
  path = {};
  query = {};
  keep_alive = true;
  old = false;
  has_body = false;
  body.clear();
  for (std::string& param : params) param.clear();
  correlation_id.clear();
  for (std::string& value : headers) value.clear();
  seen = 0;
}

bool is_json_type(std::string_view content_type) noexcept {
  const std::size_t semicolon = std::min(content_type.find(';'), content_type.size());
  const std::string_view type = trimmed(content_type.substr(0, semicolon));
  std::string_view rest = content_type.substr(semicolon);
  const bool is_json = is_word(type, json_type) ||
                       (type.size() > 5 && is_word(type.substr(type.size() - 5), "+json"));
  while (is_json && !rest.empty()) {
    rest.remove_prefix(1);
    const std::size_t end = std::min(rest.find(';'), rest.size());
    const std::string_view parameter = trimmed(rest.substr(0, end));
    rest.remove_prefix(end);
    const bool is_charset = parameter.size() >= 8 && is_word(parameter.substr(0, 8), "charset=");
    if (!is_charset) continue;
    const std::string_view charset = parameter.substr(8);
    if (!is_word(charset, "utf-8") && !is_word(charset, "\"utf-8\"")) return false;
  }
  return is_json;
}

bool is_expect_continue(std::string_view expectation) noexcept {
  return is_word(expectation, "100-continue");
}

response json_response(std::string body, unsigned status) {
  return {.status = status, .body = std::move(body)};
}

response empty_response() { return {.status = 204, .content_type = {}}; }

}  // namespace millrace::http
