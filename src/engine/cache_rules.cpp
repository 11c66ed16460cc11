#include <millrace/engine/cache_refusals.hpp>
#include <millrace/engine/cache_steps.hpp>

#include <algorithm>

namespace millrace::engine {
namespace {

struct bracket {
  bool fits{false};
  /// Behind its end.
  std::size_t next{0};
};

// A set in brackets, `at` behind the opening one. Without a closing one it ends with the pattern.
bracket match_set(std::string_view pattern, std::size_t at, char c) {
  const bool negated = at < pattern.size() && pattern[at] == '^';
  if (negated) ++at;
  bool found = false;
  const auto byte = [](char of) { return static_cast<unsigned char>(of); };
  while (at < pattern.size() && pattern[at] != ']') {
    if (pattern[at] == '\\' && at + 1 < pattern.size()) {
      found = found || pattern[at + 1] == c;
      at += 2;
    } else if (at + 2 < pattern.size() && pattern[at + 1] == '-') {
      const auto [low, high] = std::minmax({byte(pattern[at]), byte(pattern[at + 2])});
      found = found || (low <= byte(c) && byte(c) <= high);
      at += 3;
    } else {
      found = found || pattern[at] == c;
      ++at;
    }
  }
  return {found != negated, std::min(at + 1, pattern.size())};
}

}  // namespace

// Of several stars only the last one can still have to take more: what stands before it is
// matched. So the time is bounded by the product of the lengths.
bool matches_glob(std::string_view pattern, std::string_view text) {
  std::size_t at = 0;
  std::size_t i = 0;
  std::size_t star = std::string_view::npos;
  std::size_t star_text = 0;
  while (i < text.size()) {
    bool fits = false;
    std::size_t next = at + 1;
    if (at < pattern.size()) {
      if (pattern[at] == '*') {
        star = at++;
        star_text = i;
        continue;
      }
      if (pattern[at] == '?') {
        fits = true;
      } else if (pattern[at] == '[') {
        const bracket set = match_set(pattern, at + 1, text[i]);
        fits = set.fits;
        next = set.next;
      } else {
        if (pattern[at] == '\\' && at + 1 < pattern.size()) next = ++at + 1;
        fits = pattern[at] == text[i];
      }
    }
    if (fits) {
      at = next;
      ++i;
    } else if (star != std::string_view::npos) {
      at = star + 1;
      i = ++star_text;
    } else {
      return false;
    }
  }
  while (at < pattern.size() && pattern[at] == '*') ++at;
  return at == pattern.size();
}

std::string glob_prefix(std::string_view pattern) {
  std::string out;
  for (std::size_t at = 0; at < pattern.size(); ++at) {
    const char c = pattern[at];
    if (c == '*' || c == '?' || c == '[') break;
    if (c == '\\' && at + 1 < pattern.size()) ++at;
    out += pattern[at];
  }
  return out;
}

std::uint64_t cache_entry_bytes(const put_cache& step) {
  std::uint64_t bytes =
      cache_entry_overhead + step.at.key.size() + step.value.size() + step.content_type.size();
  for (const std::string& tag : step.tags) bytes += tag.size();
  return bytes;
}

topic cache_topic(std::string_view project, std::string_view key) {
  topic made{topic::kind::cache, {}};
  made.name.reserve(project.size() + 1 + key.size());
  made.name.append(project).append(1, '/').append(key);
  return made;
}

error stale_lease() {
  return {errc::conflict, "stale_lease",
          "This lease has ended, or what it was to fill was invalidated meanwhile.", "lease",
          std::nullopt};
}

error version_mismatch() {
  return {errc::precondition_failed, "version_mismatch",
          "What is under the key is not what was expected.", "", std::nullopt};
}

error over_cache_quota() {
  return {errc::too_large, "over_cache_quota",
          "The value makes an entry larger than all that the project may keep.", "value",
          std::nullopt};
}

error too_many_claims() {
  return {errc::exhausted, "too_many_claims", "As many keys are being filled as may be.", "",
          std::chrono::seconds{1}};
}

}  // namespace millrace::engine
