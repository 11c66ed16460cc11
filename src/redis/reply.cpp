#include <millrace/redis/reply.hpp>

#include <millrace/redis/server_error.hpp>

#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <system_error>

namespace millrace::redis {

std::string_view to_string(reply_kind kind) noexcept {
  switch (kind) {
    case reply_kind::null: return "null";
    case reply_kind::simple: return "simple string";
    case reply_kind::bulk: return "string";
    case reply_kind::verbatim: return "verbatim string";
    case reply_kind::error: return "error";
    case reply_kind::integer: return "integer";
    case reply_kind::real: return "double";
    case reply_kind::boolean: return "boolean";
    case reply_kind::big_number: return "big number";
    case reply_kind::array: return "array";
    case reply_kind::set: return "set";
    case reply_kind::map: return "map";
    case reply_kind::push: return "push";
  }
  return "unknown";
}

bool reply_view::is_text() const noexcept {
  switch (kind()) {
    case reply_kind::simple:
    case reply_kind::bulk:
    case reply_kind::verbatim:
    case reply_kind::big_number: return true;
    default: return false;
  }
}

std::string_view reply_view::text() const noexcept {
  if (!is_text() && !is_error()) return {};
  return {bytes_ + node().payload, node().size};
}

std::int64_t reply_view::integer() const noexcept {
  const bool whole = kind() == reply_kind::integer || kind() == reply_kind::boolean;
  return whole ? node().payload : 0;
}

reply_view reply_view::operator[](std::size_t at) const noexcept {
  const detail::reply_node& whole = node();
  if (whole.end - index_ - 1 == whole.size) {
    return {nodes_, index_ + 1 + static_cast<std::uint32_t>(at), bytes_};
  }
  std::uint32_t index = index_ + 1;
  for (; at > 0; --at) index = nodes_[index].end;
  return {nodes_, index, bytes_};
}

std::optional<reply_view> reply_view::find(std::string_view key) const noexcept {
  const iterator last = end();
  for (iterator at = begin(); at != last; ++at) {
    const reply_view name = *at;
    if (++at == last) break;
    if (name.is_text() && name.text() == key) return *at;
  }
  return std::nullopt;
}

reply_view::iterator reply_view::begin() const noexcept {
  return {nodes_, is_aggregate() ? index_ + 1 : node().end, bytes_};
}

reply_view::iterator reply_view::end() const noexcept { return {nodes_, node().end, bytes_}; }

std::unexpected<error> reply_view::not_a(std::string_view wanted) const {
  if (is_error()) return std::unexpected(to_error(text()));
  std::string shown;
  if (is_text()) shown = fmt::format(" '{}'", showable(text().substr(0, 64)));
  return fail(errc::corrupted, "unexpected_reply",
              fmt::format("the server answered with a {}{} where a {} was expected",
                          to_string(kind()), shown, wanted));
}

result<std::string_view> reply_view::as_text() const {
  if (!is_text()) return not_a("string");
  return text();
}

result<std::int64_t> reply_view::as_integer() const {
  if (is_integer()) return node().payload;
  if (!is_text()) return not_a("integer");
  const std::string_view digits = text();
  std::int64_t number = 0;
  const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (ec != std::errc{} || end != digits.data() + digits.size()) return not_a("integer");
  return number;
}

result<double> reply_view::as_real() const {
  if (kind() == reply_kind::real) return std::bit_cast<double>(node().payload);
  if (is_integer()) return static_cast<double>(node().payload);
  if (!is_text()) return not_a("double");
  const std::string_view digits = text();
  double number = 0;
  const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (ec != std::errc{} || end != digits.data() + digits.size()) return not_a("double");
  return number;
}

result<reply_view> reply_view::as_aggregate() const {
  if (!is_aggregate()) return not_a("list of values");
  return *this;
}

}  // namespace millrace::redis
