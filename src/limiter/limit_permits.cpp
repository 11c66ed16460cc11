#include "limit_answers.hpp"
#include "limit_shares.hpp"
#include "outage_ledger.hpp"
#include "resolve.hpp"

#include <millrace/engine/async.hpp>
#include <millrace/engine/checks.hpp>
#include <millrace/limiter/limiter.hpp>

#include <algorithm>
#include <utility>

/// What becomes of permits, and who is shut out.
namespace millrace {

using engine::limits_checked;

namespace {

limits_checked applied(engine::limit_table& to, const engine::renew_limit_permit& step,
                       timestamp now) {
  return to.renew(step, now);
}

limits_checked applied(engine::limit_table& to, const engine::release_limit_permit& step,
                       timestamp now) {
  return to.release(step, now);
}

}  // namespace

template <class Step>
result<limits_checked> limiter::change_own_permit(const Step& step) {
  const timestamp at = now();
  const std::lock_guard held(mutex_);
  if (auto why = local_.check(step, at)) return std::unexpected(std::move(*why));
  return applied(local_, step, at);
}

template <class Step>
awaitable<result<limit_answer>> limiter::change_permit(limit_request what, std::uint64_t permit) {
  auto resolved = resolve_limits(what, *settings());
  if (!resolved) co_return std::unexpected(std::move(resolved.error()));
  if (resolved->listed) co_return limit_answer{.verdict = limit_verdict::listed, .at = now()};
  std::vector<wanted_limit>& limits = resolved->limits;
  if (auto some = keep_permits_alone(limits); !some) {
    co_return std::unexpected(std::move(some.error()));
  }
  Step step{.project = what.project, .permit = permit};
  step.checks = checks_of(limits);
  if (auto sound = engine::check_step(step); !sound) {
    co_return std::unexpected(std::move(sound.error()));
  }
  // What this process keeps of a permit follows, whether the store can be asked or not.
  const result<limits_checked> here = change_own_permit(step);
  if (permit >= first_own_permit) {
    if (!here) co_return std::unexpected(here.error());
    limit_answer answer = answer_of(limits, *here);
    answer.verdict = limit_verdict::degraded;
    co_return answer;
  }
  const auto done = co_await commit(what.project, limits, step);
  if (!done) co_return std::unexpected(done.error());
  co_return answer_of(limits, *done);
}

awaitable<result<limit_answer>> limiter::renew(limit_request what, std::uint64_t permit) {
  return change_permit<engine::renew_limit_permit>(std::move(what), permit);
}

awaitable<result<limit_answer>> limiter::release(limit_request what, std::uint64_t permit) {
  return change_permit<engine::release_limit_permit>(std::move(what), permit);
}

void limiter::keep_block(const engine::block_limit& step) {
  const timestamp at = now();
  const std::lock_guard held(mutex_);
  if (!local_.check(step, at)) local_.block(step, at);
}

void limiter::let_go(const limit_request& what, std::uint64_t permit) {
  auto resolved = resolve_limits(what, *settings());
  if (!resolved || resolved->listed || !keep_permits_alone(resolved->limits)) return;
  engine::release_limit_permit step{
      .project = what.project, .checks = checks_of(resolved->limits), .permit = permit};
  static_cast<void>(change_own_permit(step));
  if (permit >= first_own_permit) return;
  std::vector<engine::transaction> batch(1);
  batch.front().level = std::min(store_.traits().strongest, engine::durability::async);
  batch.front().steps.emplace_back(std::move(step));
  store_.submit(std::move(batch), [](std::vector<engine::commit_result>) {});
}

awaitable<result<engine::limit_block_page>> limiter::blocks(engine::list_limit_blocks what) const {
  co_return co_await engine::ask(store_, std::move(what));
}

awaitable<result<limit_block>> limiter::block(std::string project, std::string scope,
                                              std::string id, duration length) {
  const engine::block_limit step{.project = std::move(project),
                                 .scope = std::move(scope),
                                 .whose = std::move(id),
                                 .length = length};
  const engine::durability level = std::min(store_.traits().strongest, engine::durability::async);
  const auto done = co_await engine::commit_step<limits_checked>(store_, step, level);
  if (!done) co_return std::unexpected(done.error());
  note_clock(done->at);
  keep_block(step);
  limit_block out{.at = done->at};
  const timestamp until = done->limits.front().blocked_until;
  if (until > done->at) out.until = until;
  co_return out;
}

}  // namespace millrace
