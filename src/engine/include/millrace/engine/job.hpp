#pragma once

#include <millrace/base/backoff.hpp>
#include <millrace/base/clock.hpp>
#include <millrace/base/routed_id.hpp>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::engine {

using job_id = routed_id;

/// How safe an acknowledged change is.
enum class durability : std::uint8_t {
  /// May be lost when the store's process ends. A store may keep it longer.
  memory,
  /// On disk within a stated window (`store_traits::async_window`) after the answer.
  async,
  /// On disk before the answer.
  durable,
};

[[nodiscard]] std::string_view to_string(durability level) noexcept;
[[nodiscard]] std::optional<durability> parse_durability(std::string_view text) noexcept;

/// Where a job is in its life.
///
///   enqueue ─→ queued ─→ running ─→ completed
///      └→ scheduled ↗  ↖    ├→ retrying ─→ queued
///                       └───┤ (lease expired, handed back)
///                           ├→ dead ─→ queued (requeued by an operator)
///                           └→ cancelled
enum class job_status : std::uint8_t {
  queued = 0,
  /// Waits for its `run_at`; never run since it was enqueued or requeued, or snoozed.
  scheduled = 1,
  running = 2,
  /// Failed and waits for its next run.
  retrying = 3,
  completed = 4,
  dead = 5,
  cancelled = 6,
};

[[nodiscard]] std::string_view to_string(job_status status) noexcept;
/// Also takes the older words `pending` (queued) and `failed` (dead).
[[nodiscard]] std::optional<job_status> parse_job_status(std::string_view text) noexcept;
/// completed, dead or cancelled.
[[nodiscard]] constexpr bool is_final(job_status status) noexcept {
  return status >= job_status::completed;
}

/// A queue within a project. The name may carry a `{tag}` (see `routing_tag`).
struct queue_key {
  std::string project{"default"};
  std::string name;

  friend bool operator==(const queue_key&, const queue_key&) = default;
  friend auto operator<=>(const queue_key&, const queue_key&) = default;
};

using label = std::pair<std::string, std::string>;

/// What happens to an enqueue whose unique key is held by a job that has not ended.
enum class unique_mode : std::uint8_t {
  /// Nothing is made; the holder is answered as a duplicate.
  reject,
  /// A waiting holder takes the new type, data, labels, priority and due time, and keeps its id.
  /// The `delay` counts from its creation, so that repeated calls cannot push it out; a holder that
  /// is available and stays so keeps its place.
  replace,
  /// As `replace`, but the `delay` counts from now: it runs once the calls have paused for `delay`.
  debounce,
};
// With `replace` and `debounce` a *running* holder has already taken its data: a new job is made
// and takes the key over, so that the latest data always runs.

struct unique_spec {
  /// Unique within the queue. The lock is part of the job: it ends when the job does.
  std::string key;
  unique_mode mode{unique_mode::reject};
};

/// What a producer asks for. Every field has been checked by `check_job_spec`.
struct job_spec {
  /// What kind of work it is, for handlers that serve several. At most 128 bytes; may be empty.
  std::string type;
  /// One JSON text, kept byte for byte. At most `item_bytes_max`.
  std::string data{"null"};
  /// 0 to 9; 9 runs first.
  std::uint8_t priority{5};
  /// Wait this long before the first run. Not together with `run_at`.
  duration delay{0};
  std::optional<timestamp> run_at;
  /// Runs in all, the first included. 4 is one run and three retries (60, 120, 240 s).
  std::uint32_t max_attempts{4};
  backoff_spec backoff;
  std::optional<unique_spec> unique;
  /// Sorted by key, keys unique; at most 16 of 128 + 256 bytes.
  std::vector<label> labels;
  /// The lease of a worker that names none itself. Zero: the default of the reserve call.
  duration lease{0};
  /// The longest one run may take: a lease is never extended beyond it. Zero: no bound.
  duration timeout{0};
  std::string correlation_id;
  std::string traceparent;
  /// Jobs of one group share the rate and concurrency bounds of `queue_settings::group_*`.
  std::string group;
  /// Carried by the format for job graphs; an enqueue that sets it is refused for now.
  std::vector<job_id> depends_on;
  /// How `data` and `result` are encoded; `json` is plain text. Others are refused for now.
  std::string codec{"json"};
  /// The key that `data` and `result` are encrypted with; empty: not encrypted.
  std::string key_id;
};

/// Latest progress a handler reported.
struct job_progress {
  /// 0 to 1.
  double value{0};
  std::string message;
  timestamp updated_at{};
};

struct job_log_line {
  /// Grows from line to line within the store; an SSE cursor.
  std::uint64_t stamp{0};
  timestamp at{};
  std::string text;
};

/// A job as its readers see it.
struct job {
  job_id id;
  queue_key queue;
  job_spec spec;
  job_status status{job_status::queued};
  /// Runs begun.
  std::uint32_t attempts{0};
  timestamp created_at{};
  /// When it became or becomes available: first `run_at`, later the next retry.
  timestamp run_at{};
  /// Of the latest run.
  std::optional<timestamp> started_at;
  std::optional<timestamp> finished_at;
  /// The first and the latest failure; both kept when the job later completes.
  std::optional<timestamp> first_failed_at;
  std::optional<timestamp> failed_at;
  /// JSON text; empty until completed.
  std::string result;
  /// Why the last run failed; empty when none has.
  std::string error;
  /// The machine word of that failure: `handler_failed`, `permanent`, `lease_expired`.
  std::string error_code;
  std::optional<job_progress> progress;
  /// JSON text a handler left for its next attempt; empty when none.
  std::string checkpoint;
  /// Was asked for while it ran.
  bool cancel_requested{false};
  /// The fencing token of the current or last lease; 0 before the first.
  std::uint64_t token{0};
  /// Of the current lease; empty while it does not run.
  std::optional<timestamp> leased_until;
  std::string worker;
  durability level{durability::durable};
  /// Stamp of the last change; grows with each.
  std::uint64_t version{0};
};

/// A job handed to a worker.
struct leased_job {
  job what;
  /// < 2^53; grows with every lease of this job. Goes with every later step of this run, and to
  /// whatever the handler writes to, so that a stale worker can be told from the current one.
  std::uint64_t token{0};
  timestamp leased_until{};
};

/// At most `limit` starts in any window of `per`; `limit` 0 means no bound.
struct rate_bound {
  /// 0, or 1 to 10 000.
  std::uint32_t limit{0};
  /// 1 ms to 24 h.
  duration per{std::chrono::seconds{1}};
  friend bool operator==(const rate_bound&, const rate_bound&) = default;
};

/// What a queue has set itself, or else leaves to the defaults that the store was opened with. It
/// reads as its value either way; a plain value makes it the queue's own.
template <class T>
class setting final {
public:
  template <std::convertible_to<T> Value>
    requires(!std::same_as<Value, setting>)
  constexpr setting(Value own) noexcept : value_(static_cast<T>(own)), own_(true) {}  // NOLINT
  [[nodiscard]] static constexpr setting left_to_store(T value) noexcept {
    setting out(value);
    out.own_ = false;
    return out;
  }

  [[nodiscard]] constexpr T value() const noexcept { return value_; }
  constexpr operator T() const noexcept { return value_; }  // NOLINT(google-explicit-constructor)
  /// Set for this queue: no default changes it.
  [[nodiscard]] constexpr bool own() const noexcept { return own_; }

  friend constexpr bool operator==(const setting&, const setting&) = default;
  template <std::convertible_to<T> Value>
  friend constexpr bool operator==(const setting& left, const Value& right) {
    return left.value_ == right;
  }

private:
  T value_;
  bool own_;
};

/// How one queue behaves. Zero means "no bound" except where it says otherwise. What is older than
/// it is kept for goes with later commits, not at the moment itself.
struct queue_settings {
  rate_bound rate;
  rate_bound group_rate;
  /// Jobs running at the same time, all workers together; derived from leases, so a dead worker
  /// gives its permit back when its lease ends.
  std::uint32_t concurrency{0};
  std::uint32_t group_concurrency{0};
  /// Most jobs that may wait (queued, scheduled, retrying); beyond it an enqueue is refused with
  /// `queue_full`. Default 10 million.
  setting<std::uint64_t> depth_max{setting<std::uint64_t>::left_to_store(10'000'000)};
  /// How long, and how many, ended jobs (completed, cancelled) are kept.
  setting<duration> keep_finished{setting<duration>::left_to_store(std::chrono::hours{24})};
  setting<std::uint64_t> keep_finished_count{setting<std::uint64_t>::left_to_store(100'000)};
  /// How long dead letters are kept. Age alone ends them: they are never trimmed by count.
  setting<duration> keep_dead{setting<duration>::left_to_store(std::chrono::hours{24 * 7})};
  /// Used by an enqueue that names none of its own; empty: the store's defaults.
  std::optional<durability> level;
  std::optional<backoff_spec> backoff;
  std::optional<std::uint32_t> max_attempts;
  /// Each failed run moves the job this many priorities down (positive) or up (negative).
  std::int32_t priority_step_on_failure{0};
  friend bool operator==(const queue_settings&, const queue_settings&) = default;
};

struct minute_count {
  timestamp minute{};
  std::uint64_t enqueued{0}, completed{0}, failed{0}, dead{0};
};

struct queue_info {
  queue_key queue;
  queue_settings settings;
  bool paused{false};
  /// New jobs are refused; what waits is worked off.
  bool draining{false};
  std::uint64_t waiting{0}, scheduled{0}, running{0}, retrying{0};
  std::uint64_t dead{0}, completed{0}, cancelled{0};
  /// When the job that has waited longest in `waiting` became available.
  std::optional<timestamp> oldest_available_at;
  /// Those of the last 60 minutes that had any, oldest first. Counted since the store was opened.
  /// `enqueued` are jobs made; `failed` runs that failed or expired; `dead` jobs that became so.
  std::vector<minute_count> minutes;
};

struct error_count {
  /// The error with its numbers, ids and paths replaced, so that equal causes count together.
  std::string fingerprint;
  /// One of them as it was.
  std::string sample;
  std::uint64_t count{0};
};

struct dead_stats {
  queue_key queue;
  std::uint64_t count{0};
  std::optional<timestamp> oldest_failed_at;
  std::uint64_t retrying{0};
  /// Failed runs per run ended over the last 60 minutes, 0 to 1.
  double failure_rate{0};
  /// Mean of (attempts - 1) over the dead letters.
  double average_retries{0};
  /// The ten most frequent, most frequent first, equal ones by text.
  std::vector<error_count> top_errors;
};

/// What to do with the slots of a recurring job that passed while nothing could fire them.
enum class cron_catch_up : std::uint8_t {
  /// Fire once for all that were missed.
  one,
  /// Fire none of them.
  none,
  /// Fire each, oldest first, at most 1000 back.
  all,
};

/// What to do at a slot whose predecessor has not ended.
enum class cron_overlap : std::uint8_t {
  /// Fire all the same.
  allow,
  /// Leave this slot out.
  skip,
  /// Replace a predecessor that still waits; one that runs goes on, and this slot is enqueued.
  replace,
};

struct cron_entry {
  std::string project{"default"};
  std::string name;
  std::string queue;
  /// The line as the user wrote it.
  std::string schedule;
  /// IANA name; `UTC` by default.
  std::string time_zone{"UTC"};
  job_spec job;
  /// Take these from the settings the queue has when a slot fires, as in `enqueue_job`.
  bool default_attempts{false};
  bool default_backoff{false};
  bool default_level{false};
  cron_catch_up catch_up{cron_catch_up::one};
  cron_overlap overlap{cron_overlap::allow};
  bool paused{false};
  /// Empty when the line has no further slot.
  std::optional<timestamp> next_at;
  std::optional<timestamp> last_fired_at;
  std::optional<job_id> last_job;
  std::uint64_t fired{0}, skipped{0};
  /// Grows with every change; what `fire_cron` compares.
  std::uint64_t version{0};
};

}  // namespace millrace::engine
