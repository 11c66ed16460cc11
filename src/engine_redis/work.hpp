#pragma once

#include <millrace/engine/store.hpp>

#include <chrono>
#include <cstddef>
#include <limits>
#include <memory>
#include <vector>

namespace millrace::engine_redis {

/// One `submit`: answered when each of its transactions has its result.
struct submission {
  std::vector<engine::transaction> batch;
  std::vector<engine::commit_result> results;
  std::size_t left{0};
  engine::store::commit_handler done;
};

struct question {
  engine::query what;
  engine::store::answer_handler done;
  std::chrono::steady_clock::time_point asked_at;
};

/// What a call is filled with, in the order in which it was handed in.
struct unit {
  /// A submission without one to execute has been refused as a whole: it is answered in its turn.
  static constexpr std::size_t none = std::numeric_limits<std::size_t>::max();

  std::shared_ptr<submission> of;
  /// Which transaction of it.
  std::size_t index{none};
  std::unique_ptr<question> asked;
};

}  // namespace millrace::engine_redis
