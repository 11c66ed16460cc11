#include "sse_parser.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace millrace::client {
namespace {

constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
/// A server that asks for more is not obeyed: the stream would look dead.
constexpr std::chrono::milliseconds retry_max{60'000};

}  // namespace

result<void> sse_parser::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    if (after_carriage_return_) {
      after_carriage_return_ = false;
      if (bytes.front() == '\n') {
        bytes.remove_prefix(1);
        continue;
      }
    }
    const std::size_t end = bytes.find_first_of("\r\n");
    const std::string_view part = bytes.substr(0, end);
    if (line_.size() + part.size() + data_.size() > event_bytes_max) {
      return fail(errc::too_large, "event_too_large",
                  "an event of the stream is larger than 4 MiB");
    }
    line_ += part;
    if (end == std::string_view::npos) return {};
    after_carriage_return_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    end_line();
  }
  return {};
}

std::optional<event> sse_parser::take() {
  if (ready_.empty()) return std::nullopt;
  event oldest = std::move(ready_.front());
  ready_.pop_front();
  return oldest;
}

void sse_parser::end_line() {
  std::string_view line = line_;
  if (std::exchange(at_start_, false) && line.starts_with(byte_order_mark)) {
    line.remove_prefix(byte_order_mark.size());
  }
  if (line.empty()) {
    dispatch();
  } else if (const std::size_t colon = line.find(':'); colon == std::string_view::npos) {
    take_field(line, {});
  } else if (colon > 0) {
    std::string_view value = line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    take_field(line.substr(0, colon), value);
  }
  line_.clear();
}

void sse_parser::take_field(std::string_view name, std::string_view value) {
  if (name == "event") {
    type_ = value;
  } else if (name == "data") {
    data_ += value;
    data_ += '\n';
  } else if (name == "id") {
    if (!value.contains('\0')) id_ = value;
  } else if (name == "retry") {
    std::uint32_t millis = 0;
    const auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), millis);
    if (ec == std::errc{} && end == value.data() + value.size()) {
      retry_ = std::min(std::chrono::milliseconds{millis}, retry_max);
    }
  }
}

void sse_parser::dispatch() {
  if (!data_.empty()) {
    data_.pop_back();
    if (type_.empty()) type_ = "message";
    ready_.push_back({.type = std::move(type_), .data = std::move(data_), .id = id_});
  }
  type_.clear();
  data_.clear();
}

}  // namespace millrace::client
