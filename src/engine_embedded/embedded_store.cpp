#include <millrace/engine_embedded/embedded_store.hpp>

#include "backup.hpp"
#include "checkpointer.hpp"
#include "directory_lock.hpp"
#include "group_writer.hpp"
#include "inbox.hpp"
#include "log_syncer.hpp"

#include <millrace/engine/checks.hpp>

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <cstdio>
#include <thread>
#include <unistd.h>
#include <utility>

namespace millrace::embedded {
namespace {

using steady = std::chrono::steady_clock;

/// Other processes keep out, and what connections share is in memory, not in a file.
constexpr const char* default_vfs = "unix-excl";

/// Transactions of one group: as many as one sync is worth, few enough that the first of them does
/// not wait long for the last.
constexpr std::size_t group_transactions_max = 2000;

/// While groups are as small as this, the writer syncs them itself: waking another thread takes as
/// long as the sync, and there is nothing to build meanwhile. Under load it would only cost: what
/// is asked during a sync is better executed during it.
constexpr std::size_t settled_here_max = 4;

/// Steps of a transaction that its caller may execute itself: about as long as waking the writer.
constexpr std::size_t steps_executed_here_max = 4;

/// Nobody waits longer than this for an event of which no timer tells.
constexpr auto look_again = std::chrono::minutes{1};

/// While nothing can be written, what is due has to wait; so often it is tried again.
constexpr auto try_again = std::chrono::milliseconds{100};

[[noreturn]] void end_process(const error& why) {
  std::fprintf(stderr,
               "millrace: %s It is not known which of the latest changes are on disk, so this "
               "process ends. Start it again: everything that was confirmed is there.\n",
               why.detail.c_str());
  ::_exit(70);
}

/// What a group is told when it could not be written.
error to_refusal(const error& why) {
  if (why.kind == errc::storage_full || why.kind == errc::outcome_unknown) return why;
  return {errc::unavailable, "storage_error", why.detail, "", std::chrono::seconds{1}};
}

/// What can be read goes on being read; only the probe is about writing.
result<engine::answer> answer_without_writing(const engine::query& what, const error& why,
                                              group_writer& writer, timestamp now) {
  if (std::holds_alternative<engine::probe_store>(what)) return std::unexpected(why);
  return writer.read_committed(what, now);
}

/// One message with its answer, which is given once the group is on disk.
class pending_answer final {
public:
  pending_answer(engine::store::commit_handler done, std::vector<engine::commit_result> results)
      : done_(std::move(done)), results_(std::move(results)) {}
  pending_answer(std::unique_ptr<question> asked, result<engine::answer> found)
      : asked_(std::move(asked)),
        found_(std::make_unique<result<engine::answer>>(std::move(found))) {}

  /// Nothing of its group has happened.
  void refuse(const error& why, group_writer& writer, timestamp now) {
    for (engine::commit_result& each : results_) {
      // What was refused for its own reasons had no effect in any case.
      if (each) each = std::unexpected(engine::refusal{why, 0});
    }
    if (asked_) *found_ = answer_without_writing(asked_->what, why, writer, now);
  }

  void give(const error* instead) {
    if (done_) {
      for (engine::commit_result& each : results_) {
        if (instead != nullptr && each) each = std::unexpected(engine::refusal{*instead, 0});
      }
      done_(std::move(results_));
      return;
    }
    result<engine::answer>& found = *found_;
    if (instead != nullptr) found = std::unexpected(*instead);
    if (found && std::holds_alternative<engine::probe_store>(asked_->what)) {
      *found = engine::probe_store::report{
          .took = std::chrono::duration_cast<duration>(steady::now() - asked_->asked_at)};
    }
    asked_->done(std::move(found));
  }

private:
  engine::store::commit_handler done_;
  std::vector<engine::commit_result> results_;
  std::unique_ptr<question> asked_;
  std::unique_ptr<result<engine::answer>> found_;
};

class store_impl final : public embedded_store {
public:
  store_impl(options with, std::unique_ptr<directory_lock> lock,
             std::unique_ptr<group_writer> writer, const clock_source& clock);
  ~store_impl() override;

  void submit(std::vector<engine::transaction> batch, commit_handler done) override;
  void ask(engine::query what, answer_handler done) override;
  [[nodiscard]] engine::wakeups& hints() noexcept override { return hints_; }
  [[nodiscard]] engine::store_traits traits() const noexcept override;
  [[nodiscard]] result<void> backup(const std::filesystem::path& target) override;

private:
  void run_writer();
  /// While the writer sleeps: executes it on this thread, and more while it is synced. False, and
  /// nothing else, where it is better left to the writer.
  [[nodiscard]] bool execute_here(std::vector<engine::transaction>& batch, commit_handler& done);
  /// There is little to do: groups are small, and so is the log.
  [[nodiscard]] bool quiet() const;
  [[nodiscard]] std::size_t log_bytes() const;
  /// Executes what was taken from the inbox, as far as it belongs into one group.
  void run_group();
  void execute(message& what);
  void finish_group(result<group_report> report);
  /// Answers what was taken without writing anything.
  void refuse_group(const error& why);
  [[nodiscard]] inbox::deadline next_deadline();
  void sync_in_time();
  void checkpoint_in_time();
  [[nodiscard]] log_syncer::answers take_answers();

  const options with_;
  const std::unique_ptr<directory_lock> lock_;
  const clock_source& clock_;
  engine::wakeups hints_;
  inbox inbox_;
  cache_table& cache_;

  // From here on the writer alone: its thread, or whoever stands in for it.
  std::unique_ptr<group_writer> writer_;
  /// Taken from the inbox, in order, and not executed yet.
  std::vector<message> taken_;
  std::vector<pending_answer> answers_;
  /// Since when there is something in the log that no sync is on the way for.
  std::optional<steady::time_point> unsynced_since_;
  /// Answers of the largest group of late.
  std::size_t recent_group_{0};
  /// The last group could not be written.
  bool failing_{false};
  /// Where a group is settled that does not have to wait.
  log_syncer::where at_once_{log_syncer::where::here};

  checkpointer checkpointer_;
  log_syncer syncer_;
  std::thread thread_;
};

store_impl::store_impl(options with, std::unique_ptr<directory_lock> lock,
                       std::unique_ptr<group_writer> writer, const clock_source& clock)
    : with_(std::move(with)),
      lock_(std::move(lock)),
      clock_(clock),
      cache_(writer->cache()),
      writer_(std::move(writer)),
      checkpointer_(with_.directory / "millrace.db", with_.vfs),
      syncer_([this] { return writer_->files().sync_log(); },
              with_.on_sync_failure != nullptr ? with_.on_sync_failure : end_process,
              [this] { inbox_.poke(); }),
      thread_([this] { run_writer(); }) {
  ::pthread_setname_np(thread_.native_handle(), "mr-writer");
}

store_impl::~store_impl() {
  inbox_.close();
  thread_.join();
}

void store_impl::submit(std::vector<engine::transaction> batch, commit_handler done) {
  if (execute_here(batch, done)) return;
  inbox_.push(submission{.batch = std::move(batch), .done = std::move(done)});
}

bool store_impl::execute_here(std::vector<engine::transaction>& batch, commit_handler& done) {
  if (batch.size() != 1 || batch[0].steps.size() > steps_executed_here_max) return false;
  if (!inbox_.stand_in(batch.size())) return false;
  if (failing_ || !quiet() || !syncer_.idle()) {
    inbox_.taken(batch.size());
    inbox_.step_back(std::nullopt);
    return false;
  }
  // A handler is called on a thread of the engine, never from within the call.
  at_once_ = log_syncer::where::apart_at_once;
  taken_.emplace_back(submission{.batch = std::move(batch), .done = std::move(done)});
  run_group();
  // Whoever waited for what this has brought has asked by now, and is answered when the sync ends.
  inbox_.take_meanwhile(taken_, settled_here_max);
  if (!taken_.empty()) run_group();
  checkpoint_in_time();
  at_once_ = log_syncer::where::here;
  inbox_.step_back(next_deadline());
  return true;
}

bool store_impl::quiet() const {
  return recent_group_ <= settled_here_max && log_bytes() <= with_.checkpoint_bytes;
}

void store_impl::ask(engine::query what, answer_handler done) {
  // What is cached is read where it is asked for: nothing has to be put in an order with it.
  if (const auto* const read = std::get_if<engine::read_cache>(&what)) {
    if (auto found = cache_.read(*read, clock_.now())) return done(std::move(*found));
  }
  inbox_.push(
      std::make_unique<question>(question{std::move(what), std::move(done), steady::now()}));
}

engine::store_traits store_impl::traits() const noexcept {
  return {.engine = "embedded",
          .strongest = engine::durability::durable,
          .async_window = with_.async_window};
}

// ---- the writer

void store_impl::run_writer() {
  while (true) {
    // While a group is being synced the next one is built, and may grow to half of what there is to
    // be expected: it would not be answered any earlier. The end of the sync ends the wait.
    const bool syncing = syncer_.wait_for_room();
    const std::size_t enough = syncing ? std::max<std::size_t>(1, recent_group_ / 2) : 1;
    if (!inbox_.take(taken_, enough, next_deadline())) break;
    run_group();
    sync_in_time();
    checkpoint_in_time();
  }
  if (unsynced_since_) {
    syncer_.add(log_syncer::when::synced, log_syncer::where::apart, [](const error*) {});
  }
  // What a failed sync has left is nothing to build on: the next opening finds out what is there.
  if (syncer_.drain()) static_cast<void>(writer_->close());
}

inbox::deadline store_impl::next_deadline() {
  inbox::deadline next;
  const auto consider = [&next](steady::time_point at) { next = next ? std::min(*next, at) : at; };
  if (unsynced_since_) consider(*unsynced_since_ + with_.async_window);
  if (!clock_.ticks()) return next;
  if (failing_) {
    consider(steady::now() + try_again);
    return next;
  }
  if (const std::optional<timestamp> event = writer_->next_event()) {
    const duration left = std::clamp<duration>(*event - clock_.now(), duration{0}, look_again);
    consider(steady::now() + left);
  }
  return next;
}

void store_impl::run_group() {
  std::size_t transactions = 0;
  std::size_t count = 0;
  while (count < taken_.size() && transactions < group_transactions_max) {
    if (const auto* one = std::get_if<submission>(&taken_[count++])) {
      transactions += one->batch.size();
    }
  }
  std::vector<message> later(
      std::make_move_iterator(taken_.begin() + static_cast<std::ptrdiff_t>(count)),
      std::make_move_iterator(taken_.end()));
  taken_.resize(count);
  inbox_.taken(transactions);

  result<void> writable;
  if (failing_) writable = writer_->try_to_write();
  if (writable) {
    failing_ = false;
    writer_->advance(clock_.now(), hints_.heard(engine::topic::kind::job)
                                       ? group_writer::job_hints::wanted
                                       : group_writer::job_hints::unwanted);
    for (message& each : taken_) execute(each);
    finish_group(writer_->commit());
  } else {
    refuse_group(to_refusal(writable.error()));
  }
  taken_ = std::move(later);
}

void store_impl::execute(message& what) {
  if (auto* asked = std::get_if<std::unique_ptr<question>>(&what)) {
    result<engine::answer> found = writer_->read((*asked)->what);
    answers_.emplace_back(std::move(*asked), std::move(found));
    return;
  }
  auto& submitted = std::get<submission>(what);
  std::vector<engine::commit_result> results;
  results.reserve(submitted.batch.size());
  for (engine::transaction& each : submitted.batch) {
    results.push_back(writer_->execute(std::move(each)));
  }
  for (std::size_t i = 0; i < submitted.refused; ++i) {
    results.push_back(std::unexpected(engine::refusal{
        error{errc::exhausted, "store_busy", "More transactions wait than the store can take.", "",
              std::chrono::seconds{1}},
        0}));
  }
  answers_.emplace_back(std::move(submitted.done), std::move(results));
}

log_syncer::answers store_impl::take_answers() {
  return [answers = std::exchange(answers_, {})](const error* instead) mutable {
    for (pending_answer& each : answers) each.give(instead);
  };
}

void store_impl::finish_group(result<group_report> report) {
  // It fades, down to nothing; a look without a caller is no group.
  if (!answers_.empty()) {
    recent_group_ = std::max(answers_.size(), recent_group_ - (recent_group_ + 7) / 8);
  }
  if (!report) {
    failing_ = true;
    const error why = to_refusal(report.error());
    for (pending_answer& each : answers_) each.refuse(why, *writer_, clock_.now());
    syncer_.add(log_syncer::when::behind_others, at_once_, take_answers());
    return;
  }
  const bool few = recent_group_ <= settled_here_max && inbox_.empty();
  const log_syncer::where place = !report->sync_first || few ? at_once_ : log_syncer::where::apart;
  // Told before the end of the sync: whoever is woken asks, and is answered behind it.
  const auto tell = [&] {
    for (const hint& each : report->hints) hints_.notify(each.what, each.count);
  };
  if (place == log_syncer::where::here) tell();
  if (report->sync_first) {
    unsynced_since_.reset();
    syncer_.add(log_syncer::when::synced, place, take_answers());
  } else {
    if (report->wrote && !unsynced_since_) unsynced_since_ = steady::now();
    if (!answers_.empty()) {
      syncer_.add(log_syncer::when::behind_others, place, take_answers());
    }
  }
  if (place != log_syncer::where::here) tell();
}

void store_impl::refuse_group(const error& why) {
  for (message& each : taken_) {
    if (auto* asked = std::get_if<std::unique_ptr<question>>(&each)) {
      auto found = answer_without_writing((*asked)->what, why, *writer_, clock_.now());
      answers_.emplace_back(std::move(*asked), std::move(found));
      continue;
    }
    auto& submitted = std::get<submission>(each);
    answers_.emplace_back(std::move(submitted.done), std::vector<engine::commit_result>(
                                                         submitted.batch.size() + submitted.refused,
                                                         std::unexpected(engine::refusal{why, 0})));
  }
  syncer_.add(log_syncer::when::behind_others, at_once_, take_answers());
}

void store_impl::sync_in_time() {
  if (!unsynced_since_ || steady::now() < *unsynced_since_ + with_.async_window) return;
  unsynced_since_.reset();
  syncer_.add(log_syncer::when::synced, log_syncer::where::apart, [](const error*) {});
}

std::size_t store_impl::log_bytes() const {
  constexpr std::size_t page_bytes = 4096;
  return static_cast<std::size_t>(writer_->files().log_pages()) * page_bytes;
}

void store_impl::checkpoint_in_time() {
  const std::size_t bytes = log_bytes();
  // While there is little to do, nobody waits for the writer's part: it is left to one more
  // checkpoint, until one of them meets no write.
  const bool unhurried = with_.prepared_log_bytes > 0 && quiet();
  if (checkpointer_.finished() && !unhurried) {
    static_cast<void>(writer_->files().run_checkpoint(database::checkpoint::passive));
    return;
  }
  const std::size_t most = unhurried ? std::min(with_.prepared_log_bytes, with_.checkpoint_bytes)
                                     : with_.checkpoint_bytes;
  if (failing_ || bytes > most) checkpointer_.begin();
}

result<void> store_impl::backup(const std::filesystem::path& target) {
  return copy_database(with_.directory / "millrace.db", with_.vfs, target);
}

}  // namespace

result<std::unique_ptr<embedded_store>> embedded_store::open(options with) {
  const static system_clock_source system_clock;
  const clock_source& clock = with.clock != nullptr ? *with.clock : system_clock;
  if (with.vfs.empty()) with.vfs = default_vfs;
  if (result<void> sound = engine::check_queue_settings(with.defaults); !sound) {
    return std::unexpected(std::move(sound.error()));
  }
  with.directory = std::filesystem::absolute(with.directory);
  auto lock = directory_lock::take(with.directory);
  if (!lock) return std::unexpected(std::move(lock.error()));
  if (result<void> made = make_private_file(with.directory / "millrace.db"); !made) {
    return std::unexpected(std::move(made.error()));
  }
  auto writer = group_writer::open({.directory = with.directory,
                                    .vfs = with.vfs,
                                    .defaults = with.defaults,
                                    .hot_jobs_bytes = with.hot_jobs_bytes,
                                    .page_cache_bytes = with.page_cache_bytes,
                                    .cache_bytes_max = with.cache_bytes_max},
                                   clock.now());
  if (!writer) return std::unexpected(std::move(writer.error()));
  (*writer)->files().prepare_log(with.prepared_log_bytes);
  if (result<void> synced = (*writer)->files().sync_log(); !synced) {
    return std::unexpected(std::move(synced.error()));
  }
  for (const auto& each : {with.directory, with.directory.parent_path()}) {
    if (result<void> synced = sync_directory(each); !synced) {
      return std::unexpected(std::move(synced.error()));
    }
  }
  return std::make_unique<store_impl>(std::move(with), std::move(*lock), std::move(*writer), clock);
}

}  // namespace millrace::embedded
