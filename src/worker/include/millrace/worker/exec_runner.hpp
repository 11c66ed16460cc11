#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>
#include <millrace/worker/handler.hpp>
#include <millrace/worker/line_protocol.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace {

/// What a program gets on its stdin.
enum class exec_input : std::uint8_t {
  /// The whole job: `{"id","queue","type","data","attempt","max_attempts","token","labels",
  /// "checkpoint","correlation_id"}`.
  job,
  /// The job's `data` alone; the rest is in the environment (one program a job only).
  data,
};

struct exec_options {
  /// The program and its arguments, as they are: no shell. A name without a slash is looked for in
  /// `PATH` once, when the runner is made.
  std::vector<std::string> command;
  exec_mode mode{exec_mode::one_shot};
  exec_input input{exec_input::job};
  /// Long-lived: a process is replaced after this many jobs, so that what it leaks is bounded.
  /// Default 1000; 0 never.
  std::uint32_t recycle_after{1000};
  /// `MILLRACE_URL` of the program; empty: as inherited.
  std::string server_url;
  /// Further variables; they win over inherited ones.
  std::vector<std::pair<std::string, std::string>> environment;
};

/// Where the program is. Errors: invalid_argument (`program_not_found`, `program_not_executable`)
/// on field `exec`.
[[nodiscard]] result<std::string> find_program(std::string_view name);

/// Runs each job with a program of any language; README.md has the contract.
///
/// Guarantees: no process of a run outlives the run, whatever it forked and wherever it moved
///             itself, and none outlives the worker, even when that is killed: each program is
///             watched by a small process of ours (a fork of this one) that adopts its orphans and
///             kills them all when the program ends or this process is gone.
///             What a program prints never costs more memory than `engine::item_bytes_max` twice.
/// Threading:  safe from any executor.
/// Lifetime:   must outlive every run of its handler. The destructor kills what still runs.
/// Limits:     as many processes (times two) as runs at a time.
class exec_runner final {
public:
  /// Errors: invalid_argument on `exec`: no program, not found, not executable, a NUL in an
  /// argument; long-lived together with `exec_input::data`.
  [[nodiscard]] static result<std::unique_ptr<exec_runner>> create(exec_options options);

  ~exec_runner();
  exec_runner(const exec_runner&) = delete;
  exec_runner& operator=(const exec_runner&) = delete;

  [[nodiscard]] async_handler handler();

  /// Ends the long-lived programs that are idle: closes their stdin and gives them
  /// `program_close_grace`. Call when no run is left.
  [[nodiscard]] awaitable<void> close();

private:
  struct state;
  explicit exec_runner(std::unique_ptr<state> s) noexcept;
  std::unique_ptr<state> state_;
};

}  // namespace millrace
