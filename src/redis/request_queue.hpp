#pragma once

#include "budget.hpp"
#include "ring.hpp"

#include <millrace/base/error.hpp>
#include <millrace/redis/connection.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace millrace::redis {

using moment = std::chrono::steady_clock::time_point;

/// One request of a caller: a command, or several that stay together.
struct request {
  /// How the server answers it.
  enum class answered_by : std::uint8_t {
    reply,
    /// A push of that name about the command's first argument; or an error.
    confirmation,
  };

  request_id id{0};
  /// Empty where it is not needed any more: written, and not to be written again.
  std::vector<command> batch;
  std::optional<command> one;
  std::variant<std::monostate, reply_handler, replies_handler> done;
  std::vector<result<reply>> gathered;
  moment deadline{};
  moment sent_at{};
  place held;
  std::uint32_t replies_expected{1};
  std::uint32_t replies_got{0};
  resend again{resend::never};
  std::uint8_t resends{0};
  answered_by answer{answered_by::reply};

  /// Nobody waits for it any more.
  [[nodiscard]] bool given_up() const noexcept {
    return std::holds_alternative<std::monostate>(done);
  }
};

/// Written by one thread at a time, read by anybody.
struct request_counters {
  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> resent{0};
  std::atomic<std::uint64_t> timed_out{0};
  std::atomic<std::uint64_t> late_replies{0};
  std::atomic<std::uint64_t> pushes{0};
  std::atomic<std::uint64_t> writes{0};
  std::atomic<std::uint64_t> busy_turns{0};
  std::atomic<std::uint64_t> connects{0};
  std::atomic<std::uint64_t> failed_attempts{0};
  std::atomic<std::uint64_t> lost_connections{0};

  /// For counters with one writer at a time: no locked instruction.
  static void bump(std::atomic<std::uint64_t>& counter) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
};

/// Which request a reply belongs to, and what becomes of each when time passes, its caller gives up
/// or the connection is lost. No I/O and no clock.
///
/// Requests wait, are written in order, and are owed a reply in that order. One that was given up
/// after it was written keeps its place: its reply is swallowed by nobody else.
/// Threading: one thread at a time. Handlers are called from within and must not come back in.
class request_queue final {
public:
  explicit request_queue(request_counters& counters) : counters_(&counters) {}

  void add(request&& what);

  /// Appends what waits to `out`, up to `bytes` and one request beyond; from then on it is owed.
  void write_to(std::string& out, std::size_t bytes, moment now);

  /// Gives a reply to the request it answers. False: nobody asked, so that the connection can no
  /// longer be trusted.
  [[nodiscard]] bool on_reply(reply what);
  /// Gives a push to the request it confirms. False: it confirms none, and is unchanged.
  [[nodiscard]] bool on_push(reply& what);

  /// Gives up one request.
  void cancel(request_id which);
  /// Gives up what is overdue.
  void expire(moment now, const std::optional<error>& why_down);

  /// The connection is gone: what may be repeated waits again, the rest is answered.
  void on_lost(const error& why);
  /// Answers all that wait.
  void refuse_waiting(const error& why);
  /// Answers everything.
  void close();

  /// Nothing waits and nothing is owed.
  [[nodiscard]] bool empty() const noexcept { return waiting_.empty() && owed_.empty(); }
  [[nodiscard]] bool owes() const noexcept { return !owed_.empty(); }
  /// The earliest moment at which `expire` has something to do; the far future where there is none.
  [[nodiscard]] moment next_deadline();
  /// When the server must have been heard of again: an overdue reply is owed and nothing has come
  /// since `last_read`. The far future where none is owed.
  [[nodiscard]] moment silent_until(moment last_read, std::chrono::milliseconds patience);

private:
  [[nodiscard]] request* find(ring<request>& in, request_id which);
  void complete(request& what, result<reply> answer);
  void fail(request& what, const error& why);
  void fail_overdue(request& what, bool written, const std::optional<error>& why_down);

  request_counters* counters_;
  ring<request> waiting_;
  ring<request> owed_;
};

/// The result a reply is: an error of the server is one.
[[nodiscard]] result<reply> to_result(reply what);

}  // namespace millrace::redis
