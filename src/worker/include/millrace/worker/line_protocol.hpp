#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/base/error.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

/// What a program run by a worker says on its stdout and stderr.
///
/// Stdout is read as lines (`\n`, or `\r\n`; the last may lack it). A line that begins with one of
/// these words, followed by a blank or the end of the line, is a command; every other line is text:
///
///   ::progress <0 to 1> [message]   how far the run has come
///   ::log <text>                    a line for the job's log
///   ::checkpoint <json>             kept, and given to the job's next attempt
///   ::done [json]                   long-lived only: the job is done, this is its result
///   ::fail [json or text]           long-lived only: it failed; as JSON
///                                   {"error":"…","permanent":false,"retry_in":30}
///
/// One program a job: the last line of text that is not blank is the result (JSON as it is,
/// anything else as a JSON string; none: null); the lines of text before it go to the job's log.
/// Long-lived: every line of text goes to the log, and exactly one `::done` or `::fail` answers
/// each line of stdin. A command whose arguments do not parse goes to the log with what is wrong
/// with it.
///
/// Bytes that are not UTF-8 become U+FFFD, control characters a blank; lines for the log are cut at
/// `engine::log_line_bytes_max`.
namespace millrace {

/// Which of the two ways to run a program.
enum class exec_mode : std::uint8_t {
  /// A process a job.
  one_shot,
  /// A process for many jobs, one after the other.
  long_lived,
};

struct progress_said {
  double value{0};
  std::string message;
};
struct line_logged {
  std::string text;
};
struct checkpoint_said {
  /// Valid JSON on one line.
  std::string json;
};
/// The answer of a long-lived program.
struct done_said {
  /// Valid JSON.
  std::string result;
};
struct fail_said {
  std::string error;
  bool permanent{false};
  std::optional<duration> retry_in;
};

using output_event =
    std::variant<progress_said, line_logged, checkpoint_said, done_said, fail_said>;

/// Reads a program's stdout, in pieces of any size.
///
/// Guarantees: the same events whatever the pieces are; whatever the bytes are, memory stays below
///             two lines of `line_bytes_max` and one event is one line.
/// Threading:  one caller at a time. No I/O.
class output_parser final {
public:
  using sink = std::function<void(output_event)>;

  /// `line_bytes_max`: a longer line cannot be a result or a command; it is cut.
  /// Requires: not zero.
  explicit output_parser(exec_mode mode, std::size_t line_bytes_max = default_line_bytes_max);

  void feed(std::string_view bytes, const sink& take);

  /// The program has closed its stdout: takes an unfinished last line, and answers the result as
  /// JSON (long-lived: always null). Call once.
  ///
  /// Errors: too_large (`result_too_large`): the result exceeds `line_bytes_max`, as printed or as
  ///         JSON.
  [[nodiscard]] result<std::string> finish(const sink& take);

private:
  // What an item may have: `engine::item_bytes_max`.
  static constexpr std::size_t default_line_bytes_max = std::size_t{1} << 20U;

  void end_line(const sink& take);
  void take_text(std::string line, bool cut, const sink& take);

  exec_mode mode_;
  std::size_t line_bytes_max_;
  std::string line_;
  bool line_cut_{false};
  // One shot: the latest line of text, which is the result unless another follows.
  std::optional<std::string> latest_;
  bool latest_cut_{false};
};

/// The end of what a program printed to stderr, bounded.
class stderr_tail final {
public:
  void feed(std::string_view bytes);
  void clear() noexcept;

  /// The last lines as clean text, at most `bytes_max`, without `Retry-In` lines and outer blanks.
  [[nodiscard]] std::string text(std::size_t bytes_max) const;
  /// Of the last line `Retry-In: 30` (seconds, or `500ms`, `2m` …), where it parses.
  [[nodiscard]] std::optional<duration> retry_in() const;

private:
  std::string kept_;
  bool cut_{false};
};

}  // namespace millrace
