// What a Redis server sends. The first byte chooses how the bytes are cut: whatever is read comes
// out the same as in one piece, within the limits, and every text, number and error can be looked
// at.

#include <millrace/base/assert.hpp>
#include <millrace/base/names.hpp>
#include <millrace/redis/reply_parser.hpp>
#include <millrace/redis/server_error.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace {

using namespace millrace;
using namespace millrace::redis;

constexpr reply_limits limits{.depth = 16, .line_bytes = 256, .bytes = 4096, .values = 512};

// Everything about a value, as text; nested ones too.
void describe(reply_view of, std::size_t depth, std::size_t& values, std::string& out) {
  MILLRACE_ASSERT(depth <= limits.depth && ++values <= limits.values);
  out += to_string(of.kind());
  out += of.text();
  out += std::to_string(of.integer());
  if (const auto number = of.as_real()) out += std::to_string(*number);
  (void)of.as_integer();
  if (of.is_error()) {
    const error told = to_error(of.text());
    MILLRACE_ASSERT(!told.code.empty() && is_utf8(told.detail) &&
                    !has_control_characters(told.detail));
  }
  MILLRACE_ASSERT(of.is_aggregate() || of.size() == 0);
  std::size_t at = 0;
  for (const reply_view each : of) {
    MILLRACE_ASSERT(of[at].kind() == each.kind());
    ++at;
    describe(each, depth + 1, values, out);
  }
  MILLRACE_ASSERT(at == of.size());
  (void)of.find("key");
  out += '|';
}

// All replies, and the error at which reading ended.
std::string read_in_pieces(std::string_view bytes, std::size_t piece) {
  reply_parser parser{limits};
  std::string all;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    std::string_view part = bytes.substr(at, piece);
    while (!part.empty()) {
      const auto taken = parser.read(part);
      if (!taken) {
        MILLRACE_ASSERT(taken.error().code == "protocol_error");
        MILLRACE_ASSERT(is_utf8(taken.error().detail));
        return all + "broken";
      }
      MILLRACE_ASSERT(*taken > 0 && *taken <= part.size());
      part.remove_prefix(*taken);
      if (!parser.complete()) continue;
      const reply whole = parser.take();
      MILLRACE_ASSERT(parser.idle());
      std::size_t values = 0;
      describe(whole.view(), 0, values, all);
    }
  }
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t piece = std::max<std::size_t>(data[0], 1);
  MILLRACE_ASSERT(read_in_pieces(bytes, piece) == read_in_pieces(bytes, size));
  return 0;
}
