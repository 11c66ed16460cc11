#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/engine/store.hpp>

#include <boost/asio/io_context.hpp>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

/// The same work for every engine, and how its figures are told.
namespace millrace::bench {

using steady = std::chrono::steady_clock;

struct settings {
  std::size_t jobs{200'000};
  std::size_t callers{64};
  int runs{5};
  /// Of the embedded engine.
  std::filesystem::path directory{std::filesystem::temp_directory_path()};
  /// Of the Redis engine.
  std::string redis;
  bool json{false};
  /// Measures how soon a job is picked up, and nothing else.
  bool pickup_only{false};
};

/// `--jobs N --callers N --runs N --once --json --pickup --dir DIRECTORY --redis URL`; ends the
/// program at anything else.
[[nodiscard]] settings parse(int argc, char** argv);

/// Ends the program: no figure is worth anything then.
[[noreturn]] void stop(std::string_view why);

[[nodiscard]] double seconds_since(steady::time_point begin);

struct figure {
  std::string system;
  std::string metric;
  double value{0};
  std::string unit;
  std::string guarantee;
};

/// Collects figures and prints their medians, or each at once as a JSON object.
class report final {
public:
  explicit report(bool json) noexcept : json_(json) {}

  void add(const figure& one);
  void print();

private:
  bool json_;
  std::vector<figure> order_;
  std::map<std::string, std::vector<double>> samples_;
};

/// The one that all jobs go through.
[[nodiscard]] engine::queue_key queue();

/// Runs the loop until all the callers have ended, and returns the seconds that took.
[[nodiscard]] double run_callers(asio::io_context& loop, std::vector<awaitable<void>> callers);

// Each lets `callers` callers, on the loop, work through `jobs` jobs, every one waiting for its
// answers, and returns the seconds it took. A job that is lost or handed out twice ends the
// program.

/// Jobs of 100 bytes, `a_call` in one transaction.
[[nodiscard]] double enqueue_all(asio::io_context& loop, engine::store& store, const settings& with,
                                 engine::durability level, std::size_t a_call = 1);
/// Acknowledges a job and leases the next in one transaction.
[[nodiscard]] double finish_all(asio::io_context& loop, engine::store& store, const settings& with);
/// Leases one, acknowledges one: a transaction each.
[[nodiscard]] double finish_all_in_two_calls(asio::io_context& loop, engine::store& store,
                                             const settings& with);

/// From the call of an enqueue to the job in the hands of a consumer that was asleep: p50 and p99,
/// told as those of `system`.
void measure_pickup(asio::io_context& loop, engine::store& store, std::string_view system,
                    report& out);

[[nodiscard]] double resident_mb();

}  // namespace millrace::bench
