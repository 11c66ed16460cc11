#include "exec_run.hpp"

#include "exec_outcome.hpp"

#include <millrace/engine/limits.hpp>
#include <millrace/worker/limits.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <optional>
#include <string_view>
#include <utility>
#include <variant>

namespace millrace::worker_detail {
namespace {

using namespace asio::experimental::awaitable_operators;
using std::chrono::steady_clock;

/// How long a program that has closed its stdout may take to end, and to say with which status.
constexpr std::chrono::seconds crash_grace{1};

// Every coroutine below that borrows is awaited in place, by a caller that owns what is borrowed,
// through operators that wait for all of their operands.

awaitable<void> sleep_until(steady_clock::time_point when) {
  asio::steady_timer timer{co_await asio::this_coro::executor, when};
  co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
}

awaitable<void> until_cancelled() { return sleep_until(steady_clock::time_point::max()); }

// Passes on what the worker wants of the run. Ends only by cancellation.
awaitable<void> obey_stops(guarded_process& process, job_context& context) {
  stop_urgency known = stop_urgency::none;
  while (known != stop_urgency::at_once) {
    const stop_urgency now = co_await context.stopped(known);
    // Not more urgent: this wait itself was cancelled.
    if (now == known) co_return;
    known = now;
    process.order(known == stop_urgency::at_once ? guard_order::kill : guard_order::terminate);
  }
  co_await until_cancelled();
}

// Hands what a program tells about itself to the worker.
struct teller {
  const job_context& context;

  void operator()(const progress_said& said) const { context.progress(said.value, said.message); }
  void operator()(const line_logged& said) const { context.log(said.text); }
  void operator()(const checkpoint_said& said) const {
    // The parser has checked it.
    [[maybe_unused]] const auto saved = context.save_checkpoint(said.json);
  }
  void operator()(const done_said&) const {}
  void operator()(const fail_said&) const {}
};

guarded_process::reader keep_errors(stderr_tail& errors) {
  return [&errors](std::string_view bytes) {
    errors.feed(bytes);
    return true;
  };
}

bool drop_output(std::string_view) { return true; }

handler_result not_run(error why) { return job_failed{.error = std::move(why.detail)}; }

// --- one process a job ---------------------------------------------------------------------------

struct one_shot {
  std::unique_ptr<guarded_process> process;
  job_context context;
  output_parser parser{exec_mode::one_shot};
  stderr_tail errors;
  program_end end;

  [[nodiscard]] output_parser::sink tell() const {
    return [this](const output_event& event) { std::visit(teller{context}, event); };
  }
  [[nodiscard]] guarded_process::reader parse() {
    return [this](std::string_view bytes) {
      parser.feed(bytes, tell());
      return true;
    };
  }
};

awaitable<void> feed(guarded_process& process, std::string input) {
  co_await process.write(std::move(input));
  process.close_stdin();
}

awaitable<void> follow_streams(one_shot& run, std::string input) {
  co_await (feed(*run.process, std::move(input)) && run.process->read_stdout(run.parse()) &&
            run.process->read_stderr(keep_errors(run.errors)) &&
            obey_stops(*run.process, run.context));
}

awaitable<void> follow_end(one_shot& run) { run.end = co_await run.process->ended(); }

}  // namespace

awaitable<handler_result> run_one_shot(std::shared_ptr<const program_image> image,
                                       std::string input, job_context context) {
  // The worker cancels handlers to hurry them; this one has a process to see off first, and hears
  // of it through the context.
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  auto process = guarded_process::start(co_await asio::this_coro::executor, *image);
  if (!process) co_return not_run(std::move(process.error()));
  one_shot run{.process = std::move(*process), .context = std::move(context), .end = {}};
  co_await (follow_end(run) || follow_streams(run, std::move(input)));
  // All who could write are dead; what they left is in the pipes.
  run.process->drain_stdout(run.parse());
  run.process->drain_stderr(keep_errors(run.errors));
  auto printed = run.parser.finish(run.tell());
  co_return exec_outcome(run.end, std::move(printed), run.errors);
}

// --- one process for many jobs -------------------------------------------------------------------

namespace {

struct resident_run {
  resident_program& program;
  job_context context;
  std::optional<handler_result> answer;
  // More than one answer to one job: whatever comes next cannot be trusted.
  bool answered_twice{false};
  bool input_taken{false};

  void take(const output_event& event) {
    std::visit(teller{context}, event);
    if (const auto* done = std::get_if<done_said>(&event)) settle(job_succeeded{done->result});
    if (const auto* failed = std::get_if<fail_said>(&event)) {
      settle(job_failed{failed->error, failed->permanent, failed->retry_in});
    }
  }
  void settle(handler_result with) {
    answered_twice = answer.has_value();
    if (!answer) answer = std::move(with);
  }
};

// Ends with the answer, or when stdout is closed.
awaitable<void> read_answer(resident_run& run) {
  return run.program.process->read_stdout([&run](std::string_view bytes) {
    run.program.parser.feed(bytes, [&run](const output_event& event) { run.take(event); });
    return !run.answer;
  });
}

awaitable<void> follow_job(resident_run& run, std::string input) {
  run.input_taken = co_await run.program.process->write(std::move(input));
  co_await (run.program.process->read_stderr(keep_errors(run.program.errors)) &&
            obey_stops(*run.program.process, run.context));
}

awaitable<void> see_end(guarded_process& process) {
  [[maybe_unused]] const program_end end = co_await process.ended();
}

awaitable<void> discard_output(guarded_process& process) {
  co_await (process.read_stdout(drop_output) && process.read_stderr(drop_output) &&
            until_cancelled());
}

// Gives the program `grace` to end by itself, and ends it then.
awaitable<program_end> end_of(guarded_process& process, steady_clock::duration grace) {
  co_await (see_end(process) || sleep_until(steady_clock::now() + grace));
  process.order(guard_order::kill);
  co_return co_await process.ended();
}

// The program is gone, or has closed its stdout and is of no use any more.
awaitable<handler_result> explain_crash(resident_run& run) {
  guarded_process& process = *run.program.process;
  const program_end end = co_await end_of(process, crash_grace);
  process.drain_stderr(keep_errors(run.program.errors));
  handler_result told = exec_outcome(end, "null", run.program.errors);
  if (auto* failed = std::get_if<job_failed>(&told)) {
    failed->error = fmt::format("the program ended before it answered: {}", failed->error);
    co_return told;
  }
  co_return job_failed{
      .error =
          "the program ended before it answered, with exit status 0; a long-lived program "
          "answers each line with ::done or ::fail"};
}

}  // namespace

bool resident_program::fit_for_next() {
  bool answered_unasked = false;
  const auto take = [&answered_unasked](const output_event& event) {
    answered_unasked |=
        std::holds_alternative<done_said>(event) || std::holds_alternative<fail_said>(event);
  };
  const bool up = process->drain_stdout([this, &take](std::string_view bytes) {
    parser.feed(bytes, take);
    return true;
  });
  process->drain_stderr(drop_output);
  return up && in_step && !answered_unasked;
}

awaitable<handler_result> run_in_resident(resident_program& program, std::string input,
                                          job_context context) {
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  ++program.jobs_begun;
  program.in_step = false;
  program.errors.clear();
  resident_run run{.program = program, .context = std::move(context), .answer = {}};
  co_await (read_answer(run) || follow_job(run, std::move(input)));
  if (!run.answer) co_return co_await explain_crash(run);
  program.in_step = run.input_taken && !run.answered_twice;
  co_return std::move(*run.answer);
}

awaitable<void> retire(std::unique_ptr<resident_program> program) {
  guarded_process& process = *program->process;
  process.close_stdin();
  const auto grace = program->in_step ? program_close_grace : std::chrono::seconds{0};
  co_await (see_end(process) || discard_output(process) ||
            sleep_until(steady_clock::now() + grace));
  process.order(guard_order::kill);
  co_await see_end(process);
}

}  // namespace millrace::worker_detail
