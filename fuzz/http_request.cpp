// What arrives on a connection: one request after the other, in pieces of any size. The first byte
// chooses how the bytes are cut and how large a body may be; the rest is what was sent. Whatever it
// is, the reader ends in requests and at most one refusal, holds no more than the limit, and sees
// the same requests however the bytes are cut.

#include "request_reader.hpp"
#include "stream_cursor.hpp"

#include <millrace/base/assert.hpp>
#include <millrace/base/names.hpp>
#include <millrace/http/target.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace millrace::http;

constexpr std::size_t small_body = 64;
constexpr std::size_t large_body = std::size_t{1} << 20U;

// What a server would act on. A refusal is none of it: how early it is noticed that an unfinished
// header is broken depends on the cut, what is taken for a request does not.
using seen = std::vector<std::string>;

std::string described(request& what) {
  std::string text{to_string(what.verb)};
  for (const std::string_view part : {what.path, what.query, std::string_view{what.body}}) {
    text.append("\n").append(part);
  }
  for (const std::string& value : what.headers) text.append("\n").append(value);
  text += what.keep_alive ? '+' : '-';
  return text + (what.has_body ? '+' : '-');
}

void check_request(request& what, std::size_t body_max) {
  MILLRACE_ASSERT(what.body.size() <= body_max);
  MILLRACE_ASSERT(what.path.starts_with('/'));
  // Both point into the target as it stands now; an authority alone has the path `/`.
  const std::string_view target = what.target;
  const auto within = [target](std::string_view part) {
    return part.empty() || (part.data() >= target.data() &&
                            part.data() + part.size() <= target.data() + target.size());
  };
  MILLRACE_ASSERT((within(what.path) || what.path == "/") && within(what.query));
  MILLRACE_ASSERT(what.path.find('?') == std::string_view::npos);
  // What a browser sends back is what it was sent, or nothing.
  const std::string_view last_id = what[header::last_event_id];
  const auto places = parse_positions(last_id);
  if (places) MILLRACE_ASSERT(positions_text(*places) == last_id);
}

seen read_all(std::string_view bytes, std::size_t piece, std::size_t body_max) {
  request_reader reader{body_max};
  seen of;
  std::size_t begin = 0;
  std::size_t end = 0;
  while (true) {
    const std::size_t used = reader.feed(bytes.substr(begin, end - begin));
    MILLRACE_ASSERT(used <= end - begin);
    begin += used;
    MILLRACE_ASSERT(reader.what().body.size() <= body_max);
    if (const auto& failure = reader.failure()) {
      MILLRACE_ASSERT(failure->status >= 400 && failure->status < 600 && failure->status != 500);
      MILLRACE_ASSERT(!failure->why.detail.empty() && millrace::is_utf8(failure->why.detail));
      return of;
    }
    if (reader.done()) {
      MILLRACE_ASSERT(reader.head_done() && reader.begun());
      check_request(reader.what(), body_max);
      of.push_back(described(reader.what()));
      reader.reset();
      MILLRACE_ASSERT(!reader.begun() && !reader.done());
      // A whole request takes some bytes, so that this ends.
      if (begin < end) continue;
    }
    if (end == bytes.size()) return of;
    end = std::min(end + piece, bytes.size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t body_max = (data[0] & 1U) != 0 ? small_body : large_body;
  const std::size_t piece = 1 + (data[0] >> 1U);
  const seen whole = read_all(bytes, bytes.size() + 1, body_max);
  MILLRACE_ASSERT(read_all(bytes, piece, body_max) == whole);
  return 0;
}
