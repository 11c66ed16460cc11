// The line protocol of programs that a worker runs: the same events however the bytes arrive, and
// nothing in them that a job may not hold. The first two bytes choose the mode, the longest line
// and the size of the pieces.

#include <millrace/worker/line_protocol.hpp>

#include <millrace/base/assert.hpp>
#include <millrace/base/json.hpp>
#include <millrace/base/names.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace {

using namespace millrace;

bool is_item(const std::string& text) { return check_json(text).has_value(); }

// One line an event, so that two readings can be compared; checks each on the way.
struct described {
  std::string operator()(const progress_said& e) const {
    MILLRACE_ASSERT(e.value >= 0 && e.value <= 1 && is_utf8(e.message));
    return "progress " + std::to_string(e.value) + " " + e.message;
  }
  std::string operator()(const line_logged& e) const {
    MILLRACE_ASSERT(is_utf8(e.text));
    return "log " + e.text;
  }
  std::string operator()(const checkpoint_said& e) const {
    MILLRACE_ASSERT(is_item(e.json));
    return "checkpoint " + e.json;
  }
  std::string operator()(const done_said& e) const {
    MILLRACE_ASSERT(is_item(e.result));
    return "done " + e.result;
  }
  std::string operator()(const fail_said& e) const {
    MILLRACE_ASSERT(is_utf8(e.error) && (!e.retry_in || *e.retry_in >= duration{0}));
    const auto wait = e.retry_in ? std::to_string(e.retry_in->count()) : "none";
    return "fail " + wait + (e.permanent ? " for good " : " ") + e.error;
  }
};

std::vector<std::string> read_in_pieces(std::string_view text, exec_mode mode,
                                        std::size_t line_bytes_max, std::size_t piece_bytes) {
  std::vector<std::string> events;
  const auto take = [&events](const output_event& event) {
    events.push_back(std::visit(described{}, event));
  };
  output_parser parser(mode, line_bytes_max);
  for (std::size_t at = 0; at < text.size(); at += piece_bytes) {
    parser.feed(text.substr(at, piece_bytes), take);
  }
  const auto result = parser.finish(take);
  if (result) MILLRACE_ASSERT(is_item(*result));
  events.push_back(result ? "result " + *result : std::string{result.error().code});
  return events;
}

void read_stderr(std::string_view text, std::size_t piece_bytes) {
  stderr_tail tail;
  for (std::size_t at = 0; at < text.size(); at += piece_bytes) {
    tail.feed(text.substr(at, piece_bytes));
  }
  const std::string shown = tail.text(512);
  MILLRACE_ASSERT(shown.size() <= 512 && is_utf8(shown));
  const auto wait = tail.retry_in();
  MILLRACE_ASSERT(!wait || *wait >= duration{0});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const exec_mode mode = (data[0] & 1U) != 0 ? exec_mode::long_lived : exec_mode::one_shot;
  const std::size_t line_bytes_max = 16 + std::size_t{data[0]};
  const std::size_t piece_bytes = 1 + std::size_t{data[1]} % 32;
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  const auto whole = read_in_pieces(text, mode, line_bytes_max, text.size() + 1);
  const auto pieces = read_in_pieces(text, mode, line_bytes_max, piece_bytes);
  MILLRACE_ASSERT(whole == pieces);
  read_stderr(text, piece_bytes);
  return 0;
}
