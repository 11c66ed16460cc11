#pragma once

#include <millrace/engine/job.hpp>

#include <boost/unordered/unordered_flat_map.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace millrace::embedded {

/// What was asked for with jobs that were made lately and have not run yet, so that handing them
/// out reads nothing from the disk. Bounded by bytes: what comes when it is full is not kept, since
/// what came first is handed out first.
class hot_jobs final {
public:
  struct entry {
    engine::job_spec spec;
    timestamp created_at{};
    engine::durability level{engine::durability::durable};
  };

  explicit hot_jobs(std::size_t bytes_max) noexcept : bytes_max_(bytes_max) {}

  [[nodiscard]] bool has_room() const noexcept { return bytes_ < bytes_max_; }

  void put(std::uint64_t id, entry what) {
    bytes_ += bytes_of(what);
    jobs_.emplace(id, std::make_unique<entry>(std::move(what)));
  }

  [[nodiscard]] std::unique_ptr<entry> take(std::uint64_t id) {
    const auto at = jobs_.find(id);
    if (at == jobs_.end()) return nullptr;
    std::unique_ptr<entry> out = std::move(at->second);
    bytes_ -= bytes_of(*out);
    jobs_.erase(at);
    return out;
  }

  void clear() noexcept {
    jobs_.clear();
    bytes_ = 0;
  }

private:
  [[nodiscard]] static std::size_t bytes_of(const entry& what) noexcept {
    const engine::job_spec& spec = what.spec;
    std::size_t bytes = sizeof(entry) + 48 + spec.data.size() + spec.type.size() +
                        spec.correlation_id.size() + spec.traceparent.size() + spec.group.size();
    for (const engine::label& each : spec.labels) {
      bytes += sizeof each + each.first.size() + each.second.size();
    }
    return bytes;
  }

  std::size_t bytes_max_;
  std::size_t bytes_{0};
  boost::unordered_flat_map<std::uint64_t, std::unique_ptr<entry>> jobs_;
};

}  // namespace millrace::embedded
