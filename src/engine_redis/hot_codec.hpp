#pragma once

#include "call_codec.hpp"
#include "fields.hpp"

#include <millrace/engine/store.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

/// Many transactions of the usual kinds in one argument of a call: lua/hot.lua says which these are
/// and what stands where.
namespace millrace::engine_redis {

[[nodiscard]] bool is_hot(const engine::transaction& what);

class hot_encoder final {
public:
  /// Lifetime: the call must outlive it.
  hot_encoder(call_encoder& call, engine::durability strongest)
      : call_(call), strongest_(strongest) {}

  /// Requires: it is hot.
  void add(const engine::transaction& what);
  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return heads_.size() + body_.size(); }
  /// The argument; it is empty then.
  [[nodiscard]] std::string take();

private:
  void add_jobs(const engine::transaction& what);
  void add_runs(const engine::transaction& what);
  void add_ack(const engine::ack_job& step);
  void add_lease(const engine::lease_jobs& step);

  call_encoder& call_;
  const engine::durability strongest_;
  std::string heads_;
  std::string body_;
  std::size_t count_{0};
  std::size_t acks_{0};
  std::size_t asked_{0};
};

/// Reads what was answered to such an argument, one transaction after the other.
///
/// Lifetime: of the answer.
class hot_decoder final {
public:
  hot_decoder(std::string_view answered, engine::durability strongest)
      : in_(answered), strongest_(strongest), now_(from_micros(in_.distance())) {}

  /// Requires: `asked` is the next of those that were encoded.
  [[nodiscard]] engine::commit_result next(const engine::transaction& asked);

private:
  [[nodiscard]] engine::job_enqueued made(const engine::enqueue_job& step);
  [[nodiscard]] engine::job_changed acked(const engine::ack_job& step);
  [[nodiscard]] engine::jobs_leased leased(const engine::lease_jobs& step);

  fields in_;
  engine::durability strongest_;
  timestamp now_;
};

}  // namespace millrace::engine_redis
