#include <millrace/engine/fingerprint.hpp>

#include <millrace/base/names.hpp>

#include <algorithm>
#include <cstddef>

namespace millrace::engine {
namespace {

constexpr std::string_view space = " \t\r\n\v\f";
constexpr std::string_view ends_word = " \t\r\n\v\f\"'`()[]{}<>,;";

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
bool is_letter(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_word(char c) noexcept { return is_digit(c) || is_letter(c) || c == '_'; }
bool is_hex(char c) noexcept {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

std::string_view trimmed(std::string_view text) noexcept {
  const std::size_t begin = text.find_first_not_of(space);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(space) - begin + 1);
}

std::string_view telling_line(std::string_view error) noexcept {
  const std::string_view text = trimmed(error);
  if (text.starts_with("Traceback (most recent call last)")) {
    return trimmed(text.substr(text.rfind('\n') + 1));
  }
  return trimmed(text.substr(0, text.find('\n')));
}

bool is_uuid(std::string_view text) noexcept {
  if (text.size() < 36) return false;
  for (std::size_t i = 0; i < 36; ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !is_hex(text[i])) return false;
  }
  return text.size() == 36 || !is_word(text[36]);
}

std::size_t word_bytes(std::string_view text) noexcept {
  return static_cast<std::size_t>(std::ranges::find_if_not(text, is_word) - text.begin());
}

// A word that only a program made up: 0x7ffd, deadbeef01, 1hkqz5vt0c8.
bool is_made_up(std::string_view word) noexcept {
  const bool digits = std::ranges::any_of(word, is_digit);
  if (word.starts_with("0x")) return true;
  if (!digits || word.size() < 8) return false;
  if (std::ranges::all_of(word, is_hex)) return true;
  std::size_t groups = 0;
  for (std::size_t i = 0; i < word.size(); ++i) {
    if (is_digit(word[i]) && (i == 0 || !is_digit(word[i - 1]))) ++groups;
  }
  return groups >= 2;
}

bool is_address_part(char c) noexcept {
  return is_word(c) || c == '.' || c == '-' || c == '+' || c == '%';
}

std::size_t part_bytes(std::string_view text, std::size_t most) noexcept {
  const std::string_view looked_at = text.substr(0, most);
  return static_cast<std::size_t>(std::ranges::find_if_not(looked_at, is_address_part) -
                                  looked_at.begin());
}

// How long the e-mail address is that the text begins with; 0 for none. The host has a point, and
// its last label begins with a letter: `package@1.2.3` is no address.
std::size_t email_bytes(std::string_view text) noexcept {
  constexpr std::size_t local_bytes_max = 64;
  constexpr std::size_t host_bytes_max = 253;
  const std::size_t local = part_bytes(text, local_bytes_max + 1);
  if (local > local_bytes_max || local >= text.size() || text[local] != '@') return 0;
  std::string_view host = text.substr(local + 1);
  host = host.substr(0, part_bytes(host, host_bytes_max));
  // What ends the sentence does not belong to it.
  host = host.substr(0, host.find_last_not_of(".-") + 1);
  const std::size_t point = host.rfind('.');
  if (point == std::string_view::npos || point == 0 || !is_letter(host[point + 1])) return 0;
  return local + 1 + host.size();
}

// Writes one line, shortened as it goes.
class normaliser final {
public:
  explicit normaliser(std::string_view line) noexcept : rest_(line) {}

  std::string run() && {
    while (!rest_.empty() && out_.size() <= fingerprint_bytes_max) step();
    return std::string{cut_utf8(out_, fingerprint_bytes_max)};
  }

private:
  void step() {
    if (take_space() || take_quoted() || take_path()) return;
    if (is_word(rest_[0])) return take_word();
    copy(1);
  }

  bool take_space() {
    const std::size_t bytes = std::min(rest_.find_first_not_of(space), rest_.size());
    if (bytes == 0) return false;
    replace(bytes, " ");
    return true;
  }

  // A quote inside a word is an apostrophe.
  bool take_quoted() {
    const char quote = rest_[0];
    if ((quote != '\'' && quote != '"' && quote != '`') || is_word(before_)) return false;
    const std::size_t end = rest_.find(quote, 1);
    if (end == std::string_view::npos) return false;
    replace(end + 1, "'…'");
    return true;
  }

  bool take_path() {
    const bool windows = rest_.size() > 3 && is_letter(rest_[0]) && rest_[1] == ':' &&
                         (rest_[2] == '\\' || rest_[2] == '/') && rest_[3] != '/';
    const bool unix_like =
        rest_.size() > 1 && rest_[0] == '/' && (is_word(rest_[1]) || rest_[1] == '.');
    if ((!windows && !unix_like) || is_word(before_) || before_ == '/' || before_ == '.') {
      return false;
    }
    const std::size_t skipped = windows ? 2 : 0;
    std::size_t end = std::min(rest_.find_first_of(ends_word, skipped), rest_.size());
    end = std::min(end, rest_.find(':', skipped));
    while (end > skipped + 1 && rest_[end - 1] == '.') --end;
    replace(end, "path");
    return true;
  }

  void take_word() {
    if (const std::size_t address = email_bytes(rest_); address > 0) {
      return replace(address, "email");
    }
    if (is_uuid(rest_)) return replace(36, "#");
    const std::size_t bytes = word_bytes(rest_);
    const std::string_view word = rest_.substr(0, bytes);
    if (rest_.substr(bytes).starts_with("://")) {
      return replace(std::min(rest_.find_first_of(ends_word), rest_.size()), "url");
    }
    if (is_made_up(word)) return replace(bytes, "#");
    std::size_t left = bytes;
    while (left > 0) {
      const std::size_t taken = is_digit(rest_[0]) ? take_number() : copy(1);
      left -= std::min(left, taken);
    }
  }

  // Digits, with points and commas between them: 3.14, 127.0.0.1, 1,234.
  std::size_t take_number() {
    std::size_t end = 0;
    while (end < rest_.size() &&
           (is_digit(rest_[end]) || ((rest_[end] == '.' || rest_[end] == ',') &&
                                     end + 1 < rest_.size() && is_digit(rest_[end + 1])))) {
      ++end;
    }
    replace(end, "#");
    return end;
  }

  std::size_t copy(std::size_t bytes) {
    out_.append(rest_.substr(0, bytes));
    advance(bytes);
    return bytes;
  }

  void replace(std::size_t bytes, std::string_view by) {
    out_.append(by);
    advance(bytes);
  }

  void advance(std::size_t bytes) {
    before_ = rest_[bytes - 1];
    rest_.remove_prefix(bytes);
  }

  std::string_view rest_;
  char before_{' '};
  std::string out_;
};

}  // namespace

std::string error_fingerprint(std::string_view error) {
  return normaliser(telling_line(error)).run();
}

}  // namespace millrace::engine
