#pragma once

#include <millrace/base/error.hpp>
#include <millrace/redis/limits.hpp>
#include <millrace/redis/reply.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::redis {

/// What a parser takes before it gives up; the defaults are those of limits.hpp.
struct reply_limits {
  std::size_t depth{reply_depth_max};
  std::size_t line_bytes{reply_line_bytes_max};
  std::size_t bulk_bytes{reply_bulk_bytes_max};
  /// At most 4 GiB - 1.
  std::size_t bytes{reply_bytes_max};
  std::size_t values{reply_values_max};
};

/// Makes replies of bytes as they arrive, in pieces of any size. No I/O; nothing is read twice.
///
/// Understands RESP2 and RESP3. Attributes are read and left out. Streamed strings and aggregates
/// (which no server of ours sends) are refused.
/// Errors: malformed (`protocol_error`), after which the parser is of no more use.
/// Limits: every count and length is checked before anything is kept for it, and nothing is
///         reserved because a peer announced it.
class reply_parser final {
public:
  explicit reply_parser(reply_limits limits = {});

  /// Reads on, to the end of `bytes` or of one reply, whichever comes first, and tells how many
  /// bytes were taken. Requires: `!complete()`.
  [[nodiscard]] result<std::size_t> read(std::string_view bytes);

  /// A whole reply is there: `take` it before reading on.
  [[nodiscard]] bool complete() const noexcept { return complete_; }
  /// Requires: `complete()`.
  [[nodiscard]] reply take();

  /// Nothing of a reply has been read.
  [[nodiscard]] bool idle() const noexcept;

private:
  struct open_aggregate {
    std::uint32_t node{0};
    std::uint64_t left{0};
    bool attribute{false};
    std::size_t bytes_before{0};
  };

  [[nodiscard]] result<void> on_line(std::string_view line);
  [[nodiscard]] result<void> on_scalar(char type, std::string_view line);
  [[nodiscard]] result<void> on_bulk_length(char type, std::string_view line);
  [[nodiscard]] result<void> on_aggregate(char type, std::string_view line);
  [[nodiscard]] result<void> add_text(reply_kind kind, std::string_view text);
  [[nodiscard]] result<void> add(detail::reply_node node);
  [[nodiscard]] result<std::size_t> read_line(std::string_view bytes);
  [[nodiscard]] result<std::size_t> read_bulk(std::string_view bytes);
  [[nodiscard]] result<void> finish_bulk();
  void value_done();

  reply_limits limits_;
  // The reply as far as it is known.
  std::vector<detail::reply_node> nodes_;
  std::string bytes_;
  std::vector<open_aggregate> open_;
  // The beginning of a line whose end has not arrived.
  std::string line_;
  // Of the string being read: what is still to come, its line end counted.
  std::uint64_t bulk_left_{0};
  reply_kind bulk_kind_{reply_kind::bulk};
  std::uint32_t bulk_offset_{0};
  bool in_bulk_{false};
  bool complete_{false};
};

}  // namespace millrace::redis
