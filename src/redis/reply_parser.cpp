#include <millrace/redis/reply_parser.hpp>

#include <millrace/base/assert.hpp>
#include <millrace/redis/server_error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <limits>
#include <optional>
#include <system_error>
#include <utility>

namespace millrace::redis {
namespace {

constexpr std::string_view types = "+-:$*_#,(!=%~>|";
constexpr std::string_view line_end = "\r\n";
// "txt:" before the text of a verbatim string.
constexpr std::uint32_t verbatim_format_bytes = 4;

std::unexpected<error> broken(std::string_view why) {
  return fail(errc::malformed, "protocol_error",
              fmt::format("what was received is no reply of a Redis server: {}", why));
}

std::unexpected<error> beyond(std::string_view what, std::size_t limit) {
  return fail(errc::malformed, "protocol_error",
              fmt::format("a reply has {}, more than the {} that are accepted", what, limit));
}

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  Number number{};
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (ec != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

bool is_big_number(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

reply_parser::reply_parser(reply_limits limits) : limits_(limits) {
  constexpr std::size_t indexable = std::numeric_limits<std::uint32_t>::max();
  limits_.bytes = std::min(limits_.bytes, indexable);
  limits_.values = std::min(limits_.values, indexable);
}

bool reply_parser::idle() const noexcept {
  return nodes_.empty() && line_.empty() && open_.empty() && !in_bulk_;
}

result<std::size_t> reply_parser::read(std::string_view bytes) {
  MILLRACE_ASSERT(!complete_);
  std::size_t taken = 0;
  while (taken < bytes.size() && !complete_) {
    const std::string_view rest = bytes.substr(taken);
    const auto some = in_bulk_ ? read_bulk(rest) : read_line(rest);
    if (!some) return some;
    taken += *some;
  }
  return taken;
}

reply reply_parser::take() {
  MILLRACE_ASSERT(complete_);
  complete_ = false;
  const detail::reply_node root = nodes_.front();
  if (nodes_.size() == 1) {
    nodes_.clear();
    return {root, {}, std::exchange(bytes_, {})};
  }
  return {root, std::exchange(nodes_, {}), std::exchange(bytes_, {})};
}

result<std::size_t> reply_parser::read_line(std::string_view bytes) {
  // Told at the first byte: what speaks another protocol may never send a line.
  if (line_.empty() && !types.contains(bytes.front())) {
    return broken(fmt::format("it begins with '{}'", showable(bytes.substr(0, 40))));
  }
  const std::size_t feed = bytes.find('\n');
  const std::size_t taken = feed == std::string_view::npos ? bytes.size() : feed + 1;
  if (line_.size() + taken > limits_.line_bytes) return beyond("a longer line", limits_.line_bytes);
  std::string_view line = bytes.substr(0, taken);
  if (feed == std::string_view::npos || !line_.empty()) {
    line_.append(line);
    if (feed == std::string_view::npos) return taken;
    line = line_;
  }
  if (!line.ends_with(line_end)) return broken("a line does not end with CR LF");
  auto sound = on_line(line.substr(0, line.size() - line_end.size()));
  line_.clear();
  if (!sound) return std::unexpected(std::move(sound.error()));
  return taken;
}

result<void> reply_parser::on_line(std::string_view line) {
  const char type = line.front();
  const std::string_view body = line.substr(1);
  if (body.starts_with('?') || type == ';' || type == '.') {
    return broken("streamed values are not understood");
  }
  switch (type) {
    case '$':
    case '!':
    case '=': return on_bulk_length(type, body);
    case '*':
    case '%':
    case '~':
    case '>':
    case '|': return on_aggregate(type, body);
    default: return on_scalar(type, body);
  }
}

result<void> reply_parser::on_scalar(char type, std::string_view line) {
  switch (type) {
    case '+': return add_text(reply_kind::simple, line);
    case '-': return add_text(reply_kind::error, line);
    case '_':
      if (!line.empty()) return broken("a null has a value");
      return add({.kind = reply_kind::null});
    case '#':
      if (line != "t" && line != "f") return broken("a boolean is neither t nor f");
      return add({.payload = line == "t" ? 1 : 0, .kind = reply_kind::boolean});
    case '(':
      if (!is_big_number(line)) return broken("a big number has other characters than digits");
      return add_text(reply_kind::big_number, line);
    case ',': {
      const auto number = parse_number<double>(line);
      if (!number) return broken("a double is no number");
      return add({.payload = std::bit_cast<std::int64_t>(*number), .kind = reply_kind::real});
    }
    default: {
      const auto number = parse_number<std::int64_t>(line);
      if (!number) return broken("an integer is no number of 64 bits");
      return add({.payload = *number, .kind = reply_kind::integer});
    }
  }
}

result<void> reply_parser::on_bulk_length(char type, std::string_view line) {
  if (type == '$' && line == "-1") return add({.kind = reply_kind::null});
  const auto length = parse_number<std::uint64_t>(line);
  if (!length) return broken("the length of a string is no number");
  if (*length > limits_.bulk_bytes) return beyond("a longer string", limits_.bulk_bytes);
  if (bytes_.size() + *length > limits_.bytes) return beyond("more bytes", limits_.bytes);
  in_bulk_ = true;
  bulk_left_ = *length + line_end.size();
  bulk_offset_ = static_cast<std::uint32_t>(bytes_.size());
  bulk_kind_ = type == '$'   ? reply_kind::bulk
               : type == '!' ? reply_kind::error
                             : reply_kind::verbatim;
  return {};
}

result<std::size_t> reply_parser::read_bulk(std::string_view bytes) {
  const std::uint64_t text_left = bulk_left_ - std::min<std::uint64_t>(bulk_left_, 2);
  std::size_t taken = static_cast<std::size_t>(std::min<std::uint64_t>(text_left, bytes.size()));
  bytes_.append(bytes.substr(0, taken));
  bulk_left_ -= taken;
  for (; bulk_left_ > 0 && bulk_left_ <= 2 && taken < bytes.size(); ++taken, --bulk_left_) {
    if (bytes[taken] != line_end[2 - bulk_left_]) {
      return broken("a string is longer than its length says");
    }
  }
  if (bulk_left_ == 0) {
    auto sound = finish_bulk();
    if (!sound) return std::unexpected(std::move(sound.error()));
  }
  return taken;
}

result<void> reply_parser::finish_bulk() {
  in_bulk_ = false;
  std::uint32_t offset = bulk_offset_;
  if (bulk_kind_ == reply_kind::verbatim) {
    if (bytes_.size() - offset < verbatim_format_bytes || bytes_[offset + 3] != ':') {
      return broken("a verbatim string does not name its format");
    }
    offset += verbatim_format_bytes;
  }
  return add({.payload = offset,
              .size = static_cast<std::uint32_t>(bytes_.size()) - offset,
              .kind = bulk_kind_});
}

result<void> reply_parser::on_aggregate(char type, std::string_view line) {
  if (type == '*' && line == "-1") return add({.kind = reply_kind::null});
  if (type == '>' && !open_.empty()) return broken("a push is inside another value");
  auto count = parse_number<std::uint64_t>(line);
  if (!count) return broken("the size of an aggregate is no number");
  if (*count > limits_.values) return beyond("more values", limits_.values);
  if (type == '%' || type == '|') *count *= 2;
  if (nodes_.size() + 1 + *count > limits_.values) return beyond("more values", limits_.values);
  if (open_.size() >= limits_.depth) return beyond("deeper nesting", limits_.depth);
  const auto index = static_cast<std::uint32_t>(nodes_.size());
  if (type == '|') {
    if (*count > 0) open_.push_back({index, *count, true, bytes_.size()});
    return {};
  }
  const reply_kind kind = type == '*'   ? reply_kind::array
                          : type == '%' ? reply_kind::map
                          : type == '~' ? reply_kind::set
                                        : reply_kind::push;
  nodes_.push_back(
      {.payload = 0, .size = static_cast<std::uint32_t>(*count), .end = index + 1, .kind = kind});
  if (*count > 0) {
    open_.push_back({index, *count, false, bytes_.size()});
  } else {
    value_done();
  }
  return {};
}

result<void> reply_parser::add_text(reply_kind kind, std::string_view text) {
  if (bytes_.size() + text.size() > limits_.bytes) return beyond("more bytes", limits_.bytes);
  const auto offset = static_cast<std::uint32_t>(bytes_.size());
  bytes_.append(text);
  return add({.payload = offset, .size = static_cast<std::uint32_t>(text.size()), .kind = kind});
}

result<void> reply_parser::add(detail::reply_node node) {
  if (nodes_.size() >= limits_.values) return beyond("more values", limits_.values);
  node.end = static_cast<std::uint32_t>(nodes_.size()) + 1;
  nodes_.push_back(node);
  value_done();
  return {};
}

// The end of a value may be the end of all that it is the last of. An attribute's is none: the
// value it belongs to comes behind it.
void reply_parser::value_done() {
  while (!open_.empty()) {
    open_aggregate& innermost = open_.back();
    if (--innermost.left > 0) return;
    const open_aggregate ended = innermost;
    open_.pop_back();
    if (ended.attribute) {
      nodes_.resize(ended.node);
      bytes_.resize(ended.bytes_before);
      return;
    }
    nodes_[ended.node].end = static_cast<std::uint32_t>(nodes_.size());
  }
  complete_ = true;
}

}  // namespace millrace::redis
