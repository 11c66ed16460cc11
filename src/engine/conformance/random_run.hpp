#pragma once

#include "operation.hpp"

#include <millrace/conformance/conformance.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace millrace::conformance {

enum class sort_of_run : std::uint8_t {
  plain,
  /// The engine ends and is opened again now and then. No progress and no log, of which a crash may
  /// lose the latest.
  with_restarts,
};

struct random_runs {
  sort_of_run sort{sort_of_run::plain};
  int count{0};
  /// Empty: another one every time, or that of `RC_PARAMS="seed=…"`.
  std::optional<std::uint64_t> seed;
};

/// Lets random runs of operations loose on the model and on an engine, up to 400 operations each; a
/// run after which the two differ is shrunk to a short one.
///
/// Returns: empty when they never differ; else the shrunk run and where it parts, to be read.
/// The seed is printed.
[[nodiscard]] std::string find_difference(const engine_case& under_test, const random_runs& runs);

}  // namespace millrace::conformance
