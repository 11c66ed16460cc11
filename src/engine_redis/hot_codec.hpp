#pragma once

#include "call_codec.hpp"
#include "fields.hpp"

#include <millrace/engine/store.hpp>
#include <millrace/redis/reply.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

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
  /// Lifetime: it must outlive `take`.
  void add(const engine::transaction& what);
  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return body_.size() + row_.body.size(); }
  /// The argument; it is empty then.
  [[nodiscard]] std::string take();

private:
  /// Transactions of one shape, which are written down as one part.
  struct row {
    const engine::transaction* like{nullptr};
    std::size_t count{0};
    std::string body;
    /// What its jobs carry: they outlive the row.
    std::vector<std::string_view> carried;
  };

  void add_to_row(const engine::transaction& what);
  void end_row();
  void add_carried(const std::vector<std::string_view>& ids);
  void add_jobs(const engine::transaction& what);
  void add_job(std::string& out, const engine::enqueue_job& step) const;
  void add_runs(const engine::transaction& what);
  void add_ack(const engine::ack_job& step);
  static void add_run_id(std::string& out, const engine::ack_job& step);
  void add_lease(const engine::lease_jobs& step);

  call_encoder& call_;
  const engine::durability strongest_;
  std::string body_;
  row row_;
  std::size_t count_{0};
  std::size_t parts_{0};
  std::size_t asked_{0};
};

/// Reads what was answered to such an argument, one transaction after the other.
///
/// Lifetime: of the answer.
class hot_decoder final {
public:
  hot_decoder(const redis::reply_view& answered, engine::durability strongest);

  /// Requires: `asked` is the next of those that were encoded, and stays until the last was read.
  [[nodiscard]] engine::commit_result next(const engine::transaction& asked);

private:
  /// Jobs whose ids follow each other.
  struct made_jobs {
    bool had_a_say{false};
    std::uint64_t next_id{0};
  };

  [[nodiscard]] engine::commit_result read(const engine::transaction& asked);
  [[nodiscard]] engine::commit_result read_of_jobs(const engine::transaction& asked, bool first);
  [[nodiscard]] engine::commit_result read_of_runs(const engine::transaction& asked, bool first);
  [[nodiscard]] engine::refusal refused(fields& in) const;
  [[nodiscard]] made_jobs begin_jobs();
  [[nodiscard]] engine::job_enqueued made(const engine::enqueue_job& step, made_jobs& from);
  [[nodiscard]] static engine::job_changed acked(fields& in, const engine::ack_job& step,
                                                 std::int64_t attempts);
  [[nodiscard]] engine::jobs_leased leased(const engine::lease_jobs& step);
  [[nodiscard]] engine::leased_job leased_one(const engine::lease_jobs& step);

  fields in_;
  /// Of jobs that were leased, which stand behind the rest.
  std::vector<std::string_view> records_;
  std::size_t next_record_{0};
  engine::durability strongest_;
  timestamp now_;

  /// The first of the row that is being read; of its jobs and leases so many are left.
  const engine::transaction* row_{nullptr};
  std::int64_t left_{0};
  std::string_view why_;
  made_jobs made_;
  std::int64_t next_at_{nothing};
  fields acks_{std::string_view()};
};

}  // namespace millrace::engine_redis
