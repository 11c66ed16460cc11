#pragma once

#include <millrace/worker/job_source.hpp>

namespace millrace {

/// Jobs of an engine in the same process.
///
/// Lifetime: the queues must outlive it.
/// Cost:     one round trip to the store a call, whatever the number of steps.
class queue_source final : public job_source {
public:
  explicit queue_source(queues& from) noexcept;

  [[nodiscard]] awaitable<result<std::vector<engine::leased_job>>> reserve(
      reserve_request request) override;
  [[nodiscard]] awaitable<std::vector<result<engine::job_changed>>> settle(
      std::vector<settle_step> steps) override;
  [[nodiscard]] awaitable<std::vector<result<engine::lease_extended>>> extend(
      std::vector<engine::extend_lease> steps) override;
  [[nodiscard]] awaitable<std::vector<result<engine::job_changed>>> report(
      std::vector<engine::report_progress> steps) override;
  [[nodiscard]] awaitable<std::vector<result<std::uint32_t>>> tell(
      std::vector<engine::put_progress> steps) override;

private:
  queues& from_;
};

}  // namespace millrace
