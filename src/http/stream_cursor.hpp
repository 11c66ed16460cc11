#pragma once

#include <millrace/engine/event_steps.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// Where somebody stands in several streams at once, as one text: the `id:` of events that come
/// from any of them. It holds on every node and after restarts, as each of its parts does.
namespace millrace::http {

struct stream_position {
  /// Of the stream's name.
  std::uint32_t hash{0};
  engine::event_cursor place;
  friend bool operator==(const stream_position&, const stream_position&) = default;
};

/// Streams of one connection: with their positions what an id may hold, and a browser sends back
/// in a header.
inline constexpr std::size_t streams_max = 100;

/// The same on every node; FNV-1a of 32 bits.
[[nodiscard]] std::uint32_t stream_hash(std::string_view name) noexcept;

/// `<hash>.<cursor>~<hash>.<cursor>…`
[[nodiscard]] std::string positions_text(std::span<const stream_position> all);
/// Empty for anything `positions_text` cannot have made.
[[nodiscard]] std::optional<std::vector<stream_position>> parse_positions(std::string_view text);

}  // namespace millrace::http
