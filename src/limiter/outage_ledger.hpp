#pragma once

#include <millrace/limiter/limiter.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace millrace {

/// What was allowed while the store was away, by limit: to be charged when it is back.
///
/// Threading: every member from any thread.
/// Limits:    `local_counts_max` limits; what is allowed of further ones is not remembered.
class outage_ledger final {
public:
  struct entry {
    std::string project;
    wanted_limit limit;
    std::uint64_t cost{0};
    /// Of the latest.
    timestamp at{};
  };

  void note(const std::string& project, const wanted_limit& limit, std::uint64_t cost,
            timestamp at);
  [[nodiscard]] std::vector<entry> take(std::size_t most);
  void put_back(std::vector<entry> entries);

private:
  std::mutex mutex_;
  std::map<std::string, entry> entries_;
};

}  // namespace millrace
