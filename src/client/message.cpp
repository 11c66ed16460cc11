#include <millrace/client/message.hpp>

#include <millrace/base/json.hpp>

#include <boost/beast/core/string.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <mutex>
#include <set>

namespace millrace::client {
namespace {

constexpr std::size_t code_bytes_max = 64;
constexpr std::size_t excerpt_bytes_max = 200;

bool is_code(std::string_view text) {
  return !text.empty() && text.size() <= code_bytes_max && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

// `error::code` needs static storage, and the words of a server are not ours: each is kept once.
std::string_view keep_code(std::string_view word, std::string_view otherwise) {
  static std::mutex guard;
  static std::set<std::string, std::less<>> kept;
  if (!is_code(word)) return otherwise;
  const std::lock_guard lock{guard};
  if (const auto known = kept.find(word); known != kept.end()) return *known;
  if (kept.size() >= foreign_codes_max) return otherwise;
  return *kept.emplace(word).first;
}

errc kind_of(unsigned status, std::string_view code) {
  if (code == to_string(errc::outcome_unknown)) return errc::outcome_unknown;
  switch (status) {
    case 400: return errc::malformed;
    case 401:
    case 403: return errc::forbidden;
    case 404: return errc::not_found;
    case 405:
    case 501: return errc::unsupported;
    case 408:
    case 504: return errc::deadline_exceeded;
    case 409: return errc::conflict;
    case 412: return errc::precondition_failed;
    case 413: return errc::too_large;
    case 429: return errc::exhausted;
    case 502:
    case 503: return errc::unavailable;
    case 507: return errc::storage_full;
    default: return status < 500 ? errc::invalid_argument : errc::internal;
  }
}

std::string_view text_member(const json::object& object, std::string_view name) {
  const json::value* found = object.if_contains(name);
  if (found == nullptr || !found->is_string()) return {};
  return {found->get_string().data(), found->get_string().size()};
}

std::optional<std::chrono::milliseconds> retry_after(const response& answer) {
  const auto text = answer.find("Retry-After");
  if (!text) return std::nullopt;
  unsigned seconds = 0;
  const auto [end, ec] = std::from_chars(text->data(), text->data() + text->size(), seconds);
  if (ec != std::errc{} || end != text->data() + text->size()) return std::nullopt;
  return std::chrono::seconds{seconds};
}

error without_problem(const response& answer, errc kind) {
  std::string excerpt = answer.body.substr(0, excerpt_bytes_max);
  std::ranges::replace_if(
      excerpt, [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  std::string detail = fmt::format("the server answered {}", answer.status);
  if (!excerpt.empty()) detail += fmt::format(": {}", excerpt);
  return {.kind = kind,
          .code = to_string(kind),
          .detail = std::move(detail),
          .field = {},
          .retry_after = retry_after(answer)};
}

}  // namespace

std::string_view to_string(verb method) noexcept {
  switch (method) {
    case verb::get: return "GET";
    case verb::head: return "HEAD";
    case verb::post: return "POST";
    case verb::put: return "PUT";
    case verb::patch: return "PATCH";
    case verb::del: return "DELETE";
  }
  return "GET";
}

std::optional<std::string_view> response::find(std::string_view name) const noexcept {
  for (const header& h : headers) {
    if (boost::beast::iequals(h.name, name)) return h.value;
  }
  return std::nullopt;
}

result<response> expect_success(response answer) {
  if (answer.status < 400) return answer;
  const auto parsed = parse_json(answer.body);
  if (!parsed || !parsed->is_object()) {
    return std::unexpected(without_problem(answer, kind_of(answer.status, {})));
  }
  const json::object& problem = parsed->get_object();
  const std::string_view code = text_member(problem, "code");
  const errc kind = kind_of(answer.status, code);
  error told{.kind = kind,
             .code = keep_code(code, to_string(kind)),
             .detail = std::string{text_member(problem, "detail")},
             .field = std::string{text_member(problem, "field")},
             .retry_after = retry_after(answer)};
  if (told.detail.empty()) told.detail = text_member(problem, "title");
  if (told.detail.empty()) told.detail = fmt::format("the server answered {}", answer.status);
  return std::unexpected(std::move(told));
}

std::string encode_segment(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                            (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
    if (unreserved) {
      encoded += c;
    } else {
      encoded += '%';
      encoded += digits[byte >> 4U];
      encoded += digits[byte & 0xfU];
    }
  }
  return encoded;
}

}  // namespace millrace::client
