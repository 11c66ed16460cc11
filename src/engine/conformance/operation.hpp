#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/conformance/conformance.hpp>
#include <millrace/engine/job.hpp>
#include <millrace/engine/limit_steps.hpp>
#include <millrace/engine/queue_steps.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

/// One operation of a random run. It says what to do by small choices, never by an id, so that it
/// means the same to every engine, and still means something when others before it are left out.
namespace millrace::conformance {

struct operation {
  enum class kind : std::uint8_t {
    enqueue,
    lease,
    ack,
    fail,
    extend,
    snooze,
    report,
    cancel,
    remove,
    requeue,
    purge,
    configure,
    save_cron,
    fire_slot,
    drop_cron,
    /// Any step of the cache.
    cache,
    take_some,
    give_some_back,
    forget_some,
    /// The clock moves; now and then it goes back.
    advance,
    /// The next few operations become one transaction.
    together,
    /// The next few operations become one batch, each a transaction of its own.
    batched,
    /// The engine ends and is opened again.
    restart,
    /// Everything that can be asked is asked.
    compare,
  };
  kind what{kind::compare};
  /// What the choices below are made from.
  std::array<std::uint8_t, 6> dice{};

  [[nodiscard]] std::size_t choose(std::size_t die, std::size_t among) const {
    return dice.at(die) % among;
  }
};

inline constexpr std::size_t operation_kinds = 24;

/// What the choices stand for. Those of jobs, runs and versions depend on what is there, and are
/// made by `twin_run`.
[[nodiscard]] engine::queue_key queue_of(const operation& op);
[[nodiscard]] engine::job_spec spec_of(const operation& op);
[[nodiscard]] engine::queue_settings settings_of(const operation& op);
[[nodiscard]] duration span_of(const operation& op);
/// Of `advance`: the clock is set back.
[[nodiscard]] bool goes_back(const operation& op);
[[nodiscard]] std::string cron_name_of(const operation& op);
[[nodiscard]] engine::cron_overlap overlap_of(const operation& op);
/// Of `restart`: how the engine ends, and how long it is away, which is no time.
[[nodiscard]] ending ending_of(const operation& op);
[[nodiscard]] duration away_of(const operation& op);
/// How many operations `together` and `batched` take with them.
[[nodiscard]] std::size_t company_of(const operation& op);
/// How many jobs, runs or versions back the one is that is meant; 0 is the latest.
[[nodiscard]] std::size_t back_of(const operation& op);
/// Whether it is meant for a job that it fits, where there is one.
[[nodiscard]] bool likely_apt(const operation& op);
/// The idempotency key of an enqueue; 0 for none.
[[nodiscard]] std::size_t key_of(const operation& op);

/// The limits that a step about them names.
[[nodiscard]] std::vector<engine::limit_check> limits_of(const operation& op, timestamp now);
/// What becomes of permits that were taken; whom a block shuts out, and for how long.
[[nodiscard]] engine::step step_of_permits(const operation& op, std::uint64_t permit);
[[nodiscard]] engine::block_limit block_of(const operation& op);
/// Every count that an engine may forget when it is opened.
[[nodiscard]] std::vector<engine::limit_check> fleeting_limits();

/// For people: `enqueue a priority 7 delay 10s`.
std::ostream& operator<<(std::ostream& out, const operation& op);

}  // namespace millrace::conformance
