#include "queue_order.hpp"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

namespace millrace {

// Efraimidis and Spirakis (2006): ordering by an exponential variate divided by the weight is the
// same as drawing in proportion to the weights without replacement.
std::vector<engine::queue_key> in_weighted_order(const std::vector<weighted_queue>& queues) {
  if (queues.size() == 1) return {queues.front().queue};
  thread_local std::minstd_rand draw{std::random_device{}()};
  std::exponential_distribution<double> exponential;
  std::vector<std::pair<double, const engine::queue_key*>> drawn;
  drawn.reserve(queues.size());
  for (const auto& [queue, weight] : queues) {
    drawn.emplace_back(exponential(draw) / std::max(1U, weight), &queue);
  }
  std::ranges::sort(drawn);
  std::vector<engine::queue_key> order;
  order.reserve(queues.size());
  for (const auto& [key, queue] : drawn) order.push_back(*queue);
  return order;
}

}  // namespace millrace
