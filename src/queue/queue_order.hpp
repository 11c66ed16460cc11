#pragma once

#include <millrace/queue/queue.hpp>

#include <vector>

namespace millrace {

/// The queues in the order in which one look tries them: each place goes to one of those left, with
/// a probability in proportion to its weight, so that none starves whatever the weights.
///
/// Threading: any; each thread draws from a generator of its own.
[[nodiscard]] std::vector<engine::queue_key> in_weighted_order(
    const std::vector<weighted_queue>& queues);

}  // namespace millrace
