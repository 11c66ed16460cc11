#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/engine/store.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

/// One suite for every engine: the definition of what the port promises, as tests.
///
/// An adapter's test executable links `millrace_conformance` and defines the two functions below;
/// each test then runs once an engine, which shows as the suffix of its name.
namespace millrace::conformance {

/// How an engine ended before it was opened again.
enum class ending : std::uint8_t {
  /// By its destructor, everything answered and written.
  closed,
  /// As by SIGKILL, after the last answer: what the operating system has been given survives.
  killed,
};

/// The quota of the cache with which every engine under test is opened: small enough to be filled.
inline constexpr std::uint64_t cache_bytes_under_test = 200'000;

/// A fresh engine for one test, and whatever it needs to live (a directory, a server).
class opened_engine {
public:
  virtual ~opened_engine() = default;

  /// Requires: not ended. Valid until `end`.
  [[nodiscard]] virtual engine::store& store() = 0;

  /// Ends the engine, and opens it on the same data again. Both are called only on the engines of
  /// `reopenable_engines_under_test`, in turns.
  virtual void end(ending how) = 0;
  virtual void open_again() = 0;
  /// The same, with other defaults for what queues leave to the store. They hold until they are
  /// changed again. An engine that ignores them fails the suite about them.
  virtual void open_again_with(const engine::queue_settings& defaults) {
    static_cast<void>(defaults);
    open_again();
  }
};

struct engine_case {
  /// Letters and digits; the suffix of the test's name.
  std::string name;
  /// Opens an empty engine on this clock, which outlives it.
  std::function<std::unique_ptr<opened_engine>(manual_clock&)> open;
};

/// Defined by the adapter's test executable.
[[nodiscard]] std::vector<engine_case> engines_under_test();

/// Those of them that keep their data; may be empty. Defined by the adapter's test executable.
[[nodiscard]] std::vector<engine_case> reopenable_engines_under_test();

}  // namespace millrace::conformance
