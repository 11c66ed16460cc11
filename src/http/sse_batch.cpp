#include "sse_batch.hpp"

#include <fmt/compile.h>
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace millrace::http {

void event_batch::add(std::string_view id, std::string_view rest, const stream_place& behind) {
  entry made{.begin = static_cast<std::uint32_t>(bytes.size()), .behind = behind};
  fmt::format_to(std::back_inserter(bytes), FMT_COMPILE("{:x}\r\n"), id.size() + rest.size());
  made.text = static_cast<std::uint32_t>(bytes.size());
  bytes.append(id);
  made.id_end = static_cast<std::uint32_t>(bytes.size());
  bytes.append(rest);
  made.text_end = static_cast<std::uint32_t>(bytes.size());
  bytes.append("\r\n");
  made.end = static_cast<std::uint32_t>(bytes.size());
  entries.push_back(made);
  end = behind;
}

std::size_t event_batch::entry_from(const stream_place& where) const noexcept {
  if (where == from) return 0;
  // The newest first: who comes back was seldom away for long.
  for (std::size_t i = entries.size(); i > 0; --i) {
    if (entries[i - 1].behind == where) return i;
  }
  return entries.size() + 1;
}

void append_chunk(std::string& out, std::string_view text) {
  fmt::format_to(std::back_inserter(out), FMT_COMPILE("{:x}\r\n"), text.size());
  out.append(text).append("\r\n");
}

}  // namespace millrace::http
