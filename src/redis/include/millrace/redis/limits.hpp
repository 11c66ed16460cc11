#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

/// The bounds of the room: each with its reason and what happens when it is reached.
namespace millrace::redis {

/// The deepest nesting of a reply. Ours stay below 8; COMMAND DOCS needs 10. Beyond: protocol
/// error.
inline constexpr std::size_t reply_depth_max = 64;
/// The longest line (a simple string, an error, a number). Redis' own errors stay below 1 KiB; a
/// script's may quote more. Beyond: protocol error.
inline constexpr std::size_t reply_line_bytes_max = std::size_t{64} << 10U;
/// The largest string: Redis' own `proto-max-bulk-len`. Beyond: protocol error.
inline constexpr std::size_t reply_bulk_bytes_max = std::size_t{512} << 20U;
/// All strings of one reply together. Beyond: protocol error.
inline constexpr std::size_t reply_bytes_max = std::size_t{512} << 20U;
/// All values of one reply, nested ones counted; 24 bytes each here. Beyond: protocol error.
inline constexpr std::size_t reply_values_max = std::size_t{4} << 20U;

/// Requests of one connection that wait or are under way, given-up ones counted as long as their
/// reply is owed. Beyond: `exhausted` (`too_many_requests`).
inline constexpr std::size_t requests_max = std::size_t{64} << 10U;
/// Their bytes, as long as they are kept. Beyond: `exhausted` (`too_many_request_bytes`).
inline constexpr std::size_t request_bytes_max = std::size_t{256} << 20U;
/// How much goes into one write: more gains nothing, and delays what comes next.
inline constexpr std::size_t write_bytes_max = std::size_t{256} << 10U;
/// What is read at once.
inline constexpr std::size_t read_bytes = std::size_t{64} << 10U;
/// How often a request that may be repeated is sent again after a lost connection.
inline constexpr std::uint8_t resends_max = 3;

/// The longest that the event loop is kept from sleeping for one write (`busy_poll`): several times
/// what a quick answer takes; beside a longer one it matters little that a thread has to be woken.
inline constexpr std::chrono::microseconds busy_poll_max{1'000};

/// TCP keep-alive: seconds of silence, seconds between probes, unanswered probes.
inline constexpr int keep_alive_idle_seconds = 3;
inline constexpr int keep_alive_interval_seconds = 3;
inline constexpr int keep_alive_probes = 3;

/// A connection that lives this long has come about well: the backoff starts anew.
inline constexpr std::chrono::seconds settled_after{1};
/// The oldest server that is spoken to: 6.2 brought what the scripts need.
inline constexpr int server_version_major_min = 6;
inline constexpr int server_version_minor_min = 2;

}  // namespace millrace::redis
