#pragma once

#include "guarded_process.hpp"

#include <millrace/worker/handler.hpp>
#include <millrace/worker/line_protocol.hpp>

#include <cstdint>
#include <memory>
#include <string>

namespace millrace::worker_detail {

/// Runs one job in a process of its own: starts it, feeds it `input`, reads it to its end.
[[nodiscard]] awaitable<handler_result> run_one_shot(std::shared_ptr<const program_image> image,
                                                     std::string input, job_context context);

/// A program that stays up for many jobs, one after the other.
struct resident_program {
  std::unique_ptr<guarded_process> process;
  output_parser parser{exec_mode::long_lived};
  stderr_tail errors;
  std::uint32_t jobs_begun{0};
  /// It answered the last job, and only that: it may get another.
  bool in_step{true};

  /// It is still up and has said nothing unasked. Takes what it printed meanwhile.
  [[nodiscard]] bool fit_for_next();
};

/// Runs one job in a resident program; `in_step` tells whether it may have another.
// borrows: awaited in place
[[nodiscard]] awaitable<handler_result> run_in_resident(resident_program& program,
                                                        std::string input, job_context context);

/// Closes its stdin and waits for its end, for `program_close_grace` at most; one that is out of
/// step is killed.
[[nodiscard]] awaitable<void> retire(std::unique_ptr<resident_program> program);

}  // namespace millrace::worker_detail
