#pragma once

#include <millrace/worker/job_source.hpp>

namespace millrace::client {
class api_client;
}

namespace millrace {

/// Jobs of a server, over its HTTP API.
///
/// Lifetime: the client must outlive it. It needs a connection for the long poll and some for the
///           rest: `connections_max` of at least 4.
/// Cost:     one request a call; failures, hand-backs and reports one each.
class http_source final : public job_source {
public:
  explicit http_source(client::api_client& server) noexcept;

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
  client::api_client& server_;
};

}  // namespace millrace
