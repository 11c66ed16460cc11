#include <millrace/base/json.hpp>

#include <millrace/base/json_object.hpp>

#include <boost/json.hpp>
#include <boost/json/basic_parser_impl.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace millrace {
namespace {

json::parse_options strict_options() {
  json::parse_options options;
  options.max_depth = json_depth_max;
  return options;
}

std::string_view reason(boost::system::error_code code) {
  if (code.category() != json::make_error_code(json::error::syntax).category())
    return "broken text";
  switch (static_cast<json::error>(code.value())) {
    case json::error::syntax: return "unexpected character or invalid UTF-8";
    case json::error::extra_data: return "more text after the value";
    case json::error::incomplete: return "the text ends too early";
    case json::error::exponent_overflow: return "exponent out of range";
    case json::error::illegal_leading_surrogate:
    case json::error::illegal_trailing_surrogate:
    case json::error::expected_utf16_escape: return "half of a surrogate pair";
    case json::error::expected_hex_digit: return "expected a hexadecimal digit";
    default: return "broken text";
  }
}

error refused(boost::system::error_code code, std::string_view text, std::size_t at) {
  if (code == json::make_error_code(json::error::too_deep)) {
    return {.kind = errc::too_large,
            .code = "json_too_deep",
            .detail = fmt::format("The JSON text nests deeper than {} levels at byte {}.",
                                  json_depth_max, at)};
  }
  if (text.empty()) {
    return {.kind = errc::malformed,
            .code = "malformed_json",
            .detail = "A JSON text is expected; there is none."};
  }
  return {.kind = errc::malformed,
          .code = "malformed_json",
          .detail = fmt::format("Not a JSON text: {} at byte {}.", reason(code), at)};
}

// The parser makes NaN of `0e400` and infinity of `1e400`; neither is a number of JSON, and a cast
// of either to an integer is undefined.
void make_finite(json::value& value) {
  if (double* number = value.if_double()) {
    if (std::isnan(*number)) *number = 0;
    *number = std::clamp(*number, std::numeric_limits<double>::lowest(),
                         std::numeric_limits<double>::max());
  } else if (auto* array = value.if_array()) {
    for (json::value& element : *array) make_finite(element);
  } else if (auto* object = value.if_object()) {
    for (auto& member : *object) make_finite(member.value());
  }
}

// Accepts everything: the parser alone decides.
struct accept_all {
  static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);
  using error_code = json::error_code;
  using view = json::string_view;

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code&) { return true; }
  bool on_object_end(std::size_t, error_code&) { return true; }
  bool on_array_begin(error_code&) { return true; }
  bool on_array_end(std::size_t, error_code&) { return true; }
  bool on_key_part(view, std::size_t, error_code&) { return true; }
  bool on_key(view, std::size_t, error_code&) { return true; }
  bool on_string_part(view, std::size_t, error_code&) { return true; }
  bool on_string(view, std::size_t, error_code&) { return true; }
  bool on_number_part(view, error_code&) { return true; }
  bool on_int64(std::int64_t, view, error_code&) { return true; }
  bool on_uint64(std::uint64_t, view, error_code&) { return true; }
  bool on_double(double, view, error_code&) { return true; }
  bool on_bool(bool, error_code&) { return true; }
  bool on_null(error_code&) { return true; }
  bool on_comment_part(view, error_code&) { return true; }
  bool on_comment(view, error_code&) { return true; }
};

// Walks over a text that is known to be JSON, so it looks at no more than it must.
class skimmer final {
public:
  explicit skimmer(std::string_view text) noexcept : text_(text) { skip_space(); }

  // Takes `c` and the space behind it, where it comes next.
  bool take(char c) noexcept {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    skip_space();
    return true;
  }

  // The next value with nothing around it.
  std::string_view take_value() noexcept {
    const std::size_t begin = at_;
    skip_value();
    const std::string_view value = text_.substr(begin, at_ - begin);
    skip_space();
    return value;
  }

private:
  void skip_space() noexcept {
    at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size());
  }

  void skip_string() noexcept {
    ++at_;
    while (at_ < text_.size()) {
      at_ = std::min(text_.find_first_of("\"\\", at_), text_.size());
      if (at_ == text_.size()) return;
      if (text_[at_] == '"') {
        ++at_;
        return;
      }
      at_ = std::min(at_ + 2, text_.size());
    }
  }

  void skip_value() noexcept {
    if (at_ >= text_.size()) return;
    if (text_[at_] == '"') return skip_string();
    if (text_[at_] != '{' && text_[at_] != '[') {
      at_ = std::min(text_.find_first_of(",]} \t\r\n", at_), text_.size());
      return;
    }
    std::size_t depth = 0;
    while (at_ < text_.size()) {
      switch (text_[at_]) {
        case '"': skip_string(); continue;
        case '{':
        case '[': ++depth; break;
        case '}':
        case ']': --depth; break;
        default: break;
      }
      ++at_;
      if (depth == 0) return;
    }
  }

  std::string_view text_;
  std::size_t at_{0};
};

// `quoted` is a JSON string with its quotes; it may spell a letter as an escape.
bool spells(std::string_view quoted, std::string_view name) {
  const std::string_view inner = quoted.substr(1, quoted.size() - 2);
  if (inner.find('\\') == std::string_view::npos) return inner == name;
  boost::system::error_code code;
  const json::value decoded = json::parse({quoted.data(), quoted.size()}, code);
  return !code && decoded.is_string() && std::string_view{decoded.get_string()} == name;
}

}  // namespace

result<json::value> parse_json(std::string_view text) {
  json::parser parser({}, strict_options());
  boost::system::error_code code;
  const std::size_t at = parser.write(text.data(), text.size(), code);
  if (code) return std::unexpected(refused(code, text, at));
  json::value value = parser.release();
  make_finite(value);
  return value;
}

result<void> check_json(std::string_view text) {
  json::basic_parser<accept_all> parser(strict_options());
  json::error_code code;
  const std::size_t at = parser.write_some(false, text.data(), text.size(), code);
  if (!code && at < text.size()) code = json::make_error_code(json::error::extra_data);
  if (code) return std::unexpected(refused(code, text, at));
  return {};
}

std::optional<std::string_view> raw_member(std::string_view text, std::string_view member) {
  skimmer walk(text);
  std::optional<std::string_view> found;
  if (!walk.take('{') || walk.take('}')) return found;
  do {
    const std::string_view name = walk.take_value();
    walk.take(':');
    const std::string_view value = walk.take_value();
    if (spells(name, member)) found = value;
  } while (walk.take(','));
  return found;
}

void for_each_raw_element(std::string_view text,
                          const std::function<void(std::string_view)>& take) {
  skimmer walk(text);
  if (!walk.take('[') || walk.take(']')) return;
  do {
    take(walk.take_value());
  } while (walk.take(','));
}

void for_each_raw_member(std::string_view text,
                         const std::function<void(std::string, std::string_view)>& take) {
  skimmer walk(text);
  if (!walk.take('{') || walk.take('}')) return;
  do {
    const result<json::value> name = parse_json(walk.take_value());
    walk.take(':');
    const std::string_view value = walk.take_value();
    if (name && name->is_string()) take(std::string(name->get_string()), value);
  } while (walk.take(','));
}

void append_json_string(std::string& out, std::string_view text) {
  constexpr std::string_view hex = "0123456789abcdef";
  const auto is_plain = [](char c) {
    return static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\';
  };
  out.push_back('"');
  std::size_t run = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (is_plain(c)) continue;
    out.append(text, run, i - run);
    run = i + 1;
    out.push_back('\\');
    switch (c) {
      case '"':
      case '\\': out.push_back(c); break;
      case '\b': out.push_back('b'); break;
      case '\f': out.push_back('f'); break;
      case '\n': out.push_back('n'); break;
      case '\r': out.push_back('r'); break;
      case '\t': out.push_back('t'); break;
      default:
        out.append("u00");
        out.push_back(hex[static_cast<unsigned char>(c) >> 4U]);
        out.push_back(hex[static_cast<unsigned char>(c) & 0xFU]);
    }
  }
  out.append(text, run, text.size() - run);
  out.push_back('"');
}

}  // namespace millrace
