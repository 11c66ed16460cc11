#include <millrace/worker/exec_runner.hpp>

#include "exec_run.hpp"
#include "job_line.hpp"
#include "run_control.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <mutex>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

extern char** environ;  // NOLINT(readability-redundant-declaration): POSIX has it declared here

namespace millrace {
namespace {

using worker_detail::guarded_process;
using worker_detail::program_image;
using worker_detail::resident_program;

/// Set for each run; inherited ones would speak of another job.
constexpr std::array<std::string_view, 7> run_variables{
    "MILLRACE_JOB_ID", "MILLRACE_QUEUE",          "MILLRACE_TYPE", "MILLRACE_ATTEMPT",
    "MILLRACE_TOKEN",  "MILLRACE_CORRELATION_ID", "TRACEPARENT"};

bool sets(std::string_view entry, std::string_view name) {
  return entry.starts_with(name) && entry.substr(name.size()).starts_with('=');
}

void set_variable(std::vector<std::string>& environment, std::string_view name,
                  std::string_view value) {
  std::erase_if(environment, [name](const std::string& entry) { return sets(entry, name); });
  environment.push_back(fmt::format("{}={}", name, value));
}

std::vector<std::string> own_environment(const exec_options& options) {
  std::vector<std::string> environment;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const bool of_a_run = std::ranges::any_of(
        run_variables, [text](std::string_view name) { return sets(text, name); });
    if (!of_a_run) environment.emplace_back(text);
  }
  if (!options.server_url.empty()) set_variable(environment, "MILLRACE_URL", options.server_url);
  for (const auto& [name, value] : options.environment) set_variable(environment, name, value);
  return environment;
}

std::shared_ptr<const program_image> image_for(const program_image& base,
                                               const job_context& context) {
  const engine::job& job = context.job();
  program_image image = base;
  const auto add = [&image](std::string_view name, std::string_view value) {
    image.environment.push_back(fmt::format("{}={}", name, value));
  };
  add("MILLRACE_JOB_ID", job.id.text());
  add("MILLRACE_QUEUE", job.queue.name);
  add("MILLRACE_TYPE", job.spec.type);
  add("MILLRACE_ATTEMPT", std::to_string(context.attempt()));
  add("MILLRACE_TOKEN", std::to_string(context.token()));
  add("MILLRACE_CORRELATION_ID", job.spec.correlation_id);
  if (!job.spec.traceparent.empty()) add("TRACEPARENT", job.spec.traceparent);
  return std::make_shared<const program_image>(std::move(image));
}

std::unexpected<error> not_executable(std::string_view name, std::string_view why) {
  return invalid("exec",
                 fmt::format("'{}' {}; give the path of a program, or chmod +x it", name, why),
                 "program_not_executable");
}

result<void> check_executable(const std::string& path) {
  struct stat facts{};
  if (::stat(path.c_str(), &facts) != 0) {
    return invalid("exec", fmt::format("there is no program '{}'", path), "program_not_found");
  }
  if (S_ISDIR(facts.st_mode)) return not_executable(path, "is a directory");
  if (!S_ISREG(facts.st_mode)) return not_executable(path, "is no file");
  if (::access(path.c_str(), X_OK) != 0) return not_executable(path, "may not be executed");
  return {};
}

}  // namespace

result<std::string> find_program(std::string_view name) {
  if (name.empty()) return invalid("exec", "the name of the program is empty", "program_not_found");
  if (name.contains('/')) {
    std::string path{name};
    if (auto checked = check_executable(path); !checked) {
      return std::unexpected(std::move(checked.error()));
    }
    return path;
  }
  const char* const variable = std::getenv("PATH");
  std::string_view places = variable == nullptr ? "/usr/local/bin:/usr/bin:/bin" : variable;
  while (!places.empty()) {
    const std::size_t end = std::min(places.find(':'), places.size());
    const std::string_view place = places.substr(0, end);
    std::string path = fmt::format("{}/{}", place.empty() ? "." : place, name);
    if (check_executable(path)) return path;
    places.remove_prefix(std::min(end + 1, places.size()));
  }
  return invalid("exec", fmt::format("there is no program '{}' in PATH; give its path", name),
                 "program_not_found");
}

struct exec_runner::state {
  state(exec_options with, program_image base) : options(std::move(with)), image(std::move(base)) {}

  [[nodiscard]] std::unique_ptr<resident_program> take_idle();
  void give_back(std::unique_ptr<resident_program> program);
  [[nodiscard]] bool worn_out(const resident_program& program) const noexcept {
    return options.recycle_after > 0 && program.jobs_begun >= options.recycle_after;
  }

  const exec_options options;
  const program_image image;
  std::mutex mutex;
  // Under `mutex`. Latest used last, since it is the likeliest to be in memory.
  std::vector<std::unique_ptr<resident_program>> idle;

  // borrows: the runner outlives its runs
  static awaitable<handler_result> run(state& self, job_context context);
  static awaitable<result<std::unique_ptr<resident_program>>> obtain(state& self);
};

std::unique_ptr<resident_program> exec_runner::state::take_idle() {
  const std::lock_guard lock{mutex};
  if (idle.empty()) return nullptr;
  auto program = std::move(idle.back());
  idle.pop_back();
  return program;
}

void exec_runner::state::give_back(std::unique_ptr<resident_program> program) {
  const std::lock_guard lock{mutex};
  idle.push_back(std::move(program));
}

awaitable<result<std::unique_ptr<resident_program>>> exec_runner::state::obtain(state& self) {
  while (auto program = self.take_idle()) {
    const bool fit = program->fit_for_next();
    if (fit && !self.worn_out(*program)) co_return program;
    program->in_step = fit;
    co_await worker_detail::retire(std::move(program));
  }
  auto process = guarded_process::start(co_await asio::this_coro::executor, self.image);
  if (!process) co_return std::unexpected(std::move(process.error()));
  auto program = std::make_unique<resident_program>();
  program->process = std::move(*process);
  co_return program;
}

awaitable<handler_result> exec_runner::state::run(state& self, job_context context) {
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  std::string input = self.options.input == exec_input::job
                          ? worker_detail::job_line(context.leased())
                          : worker_detail::on_one_line(context.data());
  input += '\n';
  if (self.options.mode == exec_mode::one_shot) {
    auto image = image_for(self.image, context);
    co_return co_await worker_detail::run_one_shot(std::move(image), std::move(input),
                                                   std::move(context));
  }
  auto program = co_await obtain(self);
  if (!program) co_return job_failed{.error = std::move(program.error().detail)};
  auto outcome =
      co_await worker_detail::run_in_resident(**program, std::move(input), std::move(context));
  if ((*program)->in_step) {
    self.give_back(std::move(*program));
  } else {
    co_await worker_detail::retire(std::move(*program));
  }
  co_return outcome;
}

exec_runner::exec_runner(std::unique_ptr<state> s) noexcept : state_(std::move(s)) {}
exec_runner::~exec_runner() = default;

result<std::unique_ptr<exec_runner>> exec_runner::create(exec_options options) {
  if (options.command.empty()) return invalid("exec", "no program is given", "program_not_found");
  for (const std::string& argument : options.command) {
    if (argument.contains('\0')) return invalid("exec", "an argument holds a NUL character");
  }
  if (options.mode == exec_mode::long_lived && options.input == exec_input::data) {
    return invalid("exec", "a long-lived program needs the whole job on its stdin");
  }
  auto path = find_program(options.command.front());
  if (!path) return std::unexpected(std::move(path.error()));
  program_image image{
      .path = std::move(*path), .argv = options.command, .environment = own_environment(options)};
  return std::unique_ptr<exec_runner>{
      new exec_runner{std::make_unique<state>(std::move(options), std::move(image))}};
}

async_handler exec_runner::handler() {
  return
      [self = state_.get()](job_context context) { return state::run(*self, std::move(context)); };
}

awaitable<void> exec_runner::close() {
  // Retiring does several things at a time; they must not be done on several threads at a time.
  const auto strand = asio::make_strand(co_await asio::this_coro::executor);
  while (auto program = state_->take_idle()) {
    co_await asio::co_spawn(strand, worker_detail::retire(std::move(program)), asio::use_awaitable);
  }
}

}  // namespace millrace
