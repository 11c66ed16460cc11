#include "dispatcher.hpp"

#include "fields.hpp"

#include <millrace/redis/server_facts.hpp>

#include <boost/asio/post.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <thread>
#include <utility>

namespace millrace::engine_redis {

using namespace std::chrono_literals;

namespace {

/// Calls under way: while the server works on one, the next is on its way.
constexpr std::size_t calls_max = 2;
/// So much is sent while another call is under way, however large that is.
constexpr std::size_t gathered_min = 64;
/// Callers that are few gain by being sent at once. Those of a call of more come back together, and
/// have one call again.
constexpr std::size_t few = 4;
/// Work of one call: a server that is busy with it serves nobody else.
constexpr std::size_t steps_at_once = 1000;
constexpr std::size_t bytes_at_once = std::size_t{512} << 10U;
/// Everybody says something at least as often, so that nobody is taken for away; it is also how
/// late a hint that was lost is made up for.
constexpr auto heartbeat = 5s;
/// Due times are looked after a little later than they come: clocks differ by so much.
constexpr auto due_slack = 1ms;

error unknown_outcome() {
  return {errc::outcome_unknown, "answer_lost",
          "The connection to Redis was lost before its answer came: the change may or may not have "
          "happened.",
          "", std::nullopt};
}

error not_connected() {
  return {errc::unavailable, "redis_unreachable", "There is no connection to Redis.", "", 1s};
}

std::string random_id() {
  std::random_device source;
  return fmt::format("{:08x}{:08x}", source(), source());
}

std::size_t steps_of(const unit& one) {
  if (one.asked || one.index == unit::none) return 1;
  return one.of->batch[one.index].steps.size();
}

void answer(const unit& one) {
  if (--one.of->left == 0) one.of->done(std::move(one.of->results));
}

bool is_of_limits(const unit& what) {
  if (what.asked || what.index == unit::none) return false;
  return std::ranges::all_of(what.of->batch[what.index].steps, [](const engine::step& one) {
    return std::holds_alternative<engine::take_limits>(one);
  });
}

// Each limit has a say of its own for when the store is away: who asks is not kept waiting until it
// is known what has become of the charge. It may still happen, and nobody hears of it then.
void answer_limits(std::vector<unit>& work) {
  for (unit& one : work) {
    if (!is_of_limits(one)) continue;
    auto unheard = std::make_shared<submission>();
    unheard->batch.push_back(std::move(one.of->batch[one.index]));
    unheard->results.resize(1);
    unheard->left = 1;
    unheard->done = [](const std::vector<engine::commit_result>&) {};
    one.of->results[one.index] = std::unexpected(engine::refusal{unknown_outcome(), 0});
    answer(one);
    one.of = std::move(unheard);
    one.index = 0;
  }
}

}  // namespace

dispatcher::dispatcher(asio::io_context& context, redis::connection& to, engine::wakeups& hints,
                       settings with)
    : context_(context),
      link_(to),
      hints_(hints),
      with_(std::move(with)),
      cache_(to, turn_,
             {.state_key = with_.state_key,
              .clock = with_.clock,
              .request_timeout = with_.request_timeout}),
      id_base_(random_id()),
      timer_(context) {
  store_id_ = id_base_;
  cache_.none_left = [this] {
    if (closed_) pump();
  };
}

void dispatcher::open(std::move_only_function<void(result<void>)> done) {
  const turnstile::inside in(turn_);
  opened_ = std::move(done);
  cache_.prepare();
  greeting_ = true;
  introduce(with_.run_id);
}

// ---- taking work in

void dispatcher::hand_in(std::vector<unit> work) {
  ++handing_in_;
  bool wake = false;
  {
    const std::lock_guard held(mutex_);
    for (unit& each : work) inbox_.push_back(std::move(each));
    wake = !std::exchange(coming_, true);
  }
  if (wake && !send_in_place()) {
    asio::post(context_, [this] {
      const turnstile::inside in(turn_);
      take_inbox();
      pump();
    });
  }
  --handing_in_;
}

bool dispatcher::is_idle() const {
  return ready_ && !refusing_ && !to_greet_ && !loading_ && !closed_ && !gone_ &&
         outstanding_.empty() && waiting_.empty();
}

// What is sent from here can neither be refused nor answered here: no handler is called.
bool dispatcher::send_in_place() {
  const turnstile::inside in(turn_, std::try_to_lock);
  if (!in || !is_idle() || lately_ > few) return false;
  take_inbox();
  pump();
  return true;
}

void dispatcher::take_inbox() {
  std::vector<unit> work;
  {
    const std::lock_guard held(mutex_);
    std::swap(work, inbox_);
    coming_ = false;
  }
  call refused;
  for (unit& each : work) {
    if (refusing_ && is_of_limits(each)) {
      refused.work.push_back(std::move(each));
    } else if (!each.asked || !std::holds_alternative<engine::read_cache>(each.asked->what)) {
      waiting_.push_back(std::move(each));
    } else if (refusing_) {
      each.asked->done(std::unexpected(*refusing_));
    } else {
      cache_.ask(std::move(each.asked));
    }
  }
  if (!refused.work.empty()) fail(std::make_shared<call>(std::move(refused)), *refusing_);
}

// Who waits here for jobs is told before they are made, and looks for them behind them, in the same
// call: the store keeps the order. Where that comes to nothing, a hint was one too many.
std::vector<available_hint> dispatcher::hint_early() {
  std::vector<available_hint> hinted;
  if (!outstanding_.empty() || waiting_.size() > few || !hints_.heard(engine::topic::kind::queue)) {
    return hinted;
  }
  for (const unit& each : waiting_) count_new_jobs(each, hinted);
  if (hinted.empty()) return hinted;
  {
    // Nobody has to come for what is handed in meanwhile.
    const std::lock_guard held(mutex_);
    coming_ = true;
  }
  for (const available_hint& each : hinted) {
    hints_.notify(engine::queue_topic(each.queue.project, each.queue.name), each.jobs);
  }
  take_inbox();
  return hinted;
}

// ---- sending

std::size_t dispatcher::sent() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      outstanding_, [](const call_ptr& each) { return each->now == call::state::sent; }));
}

bool dispatcher::is_worth_it() const {
  if (waiting_.empty() || outstanding_.empty()) return !waiting_.empty();
  // The server is busy with another call: until it is done there is time to gather as much again.
  return waiting_.size() >= std::min(outstanding_.back()->work.size(), gathered_min);
}

void dispatcher::pump() {
  if (!ready_) {
    if (refusing_) refuse_waiting(*refusing_);
    return;
  }
  if (closed_ && !busy()) return say_goodbye();
  if (gone_) return;
  if (to_greet_ || loading_) {
    if (to_greet_ && !greeting_ && !loading_ && sent() == 0) greet();
    return;
  }
  const auto held = [](const call_ptr& each) { return each->now == call::state::waiting; };
  if (std::ranges::any_of(outstanding_, held)) {
    // Again in their order, once none is under way that could come between.
    if (sent() > 0) return;
    for (const call_ptr& each : outstanding_) send(each);
  }
  while (outstanding_.size() < calls_max && is_worth_it()) {
    auto hinted = hint_early();
    outstanding_.push_back(gather());
    outstanding_.back()->hinted = std::move(hinted);
    send(outstanding_.back());
  }
  if (closed_ && !busy()) say_goodbye();
}

dispatcher::call_ptr dispatcher::gather() {
  auto out = std::make_shared<call>();
  gathering into(with_.strongest);
  std::size_t steps = 0;
  while (!waiting_.empty()) {
    unit& one = waiting_.front();
    const std::size_t more = steps_of(one);
    if (!out->work.empty() && (steps + more > steps_at_once || into.bytes() > bytes_at_once)) break;
    steps += more;
    out->places.push_back(into.add(one));
    out->work.push_back(std::move(one));
    waiting_.pop_front();
  }
  out->items = into.take();
  out->names = into.names();
  return out;
}

unsigned dispatcher::what_is_waited_for() {
  unsigned flags = 0;
  if (hints_.heard(engine::topic::kind::job)) {
    flags |= wants_jobs;
    if (!watched_at_ || steady::now() - *watched_at_ > heartbeat) {
      watched_at_ = steady::now();
      flags |= watches;
    }
  }
  if (hints_.heard(engine::topic::kind::lock)) flags |= waits_for_locks;
  return flags;
}

redis::command dispatcher::command_of(const call& what, unsigned flags, const std::string& run_id) {
  flags |= what_is_waited_for();
  std::string head;
  put_number(head, layout_version, 2);
  put_number(head, with_.clock != nullptr ? to_micros(with_.clock->now()) : nothing, 7);
  put_number(head, static_cast<std::int64_t>(what.number), 7);
  put_number(head, flags, 1);
  put_number(head, std::to_underlying(with_.strongest), 1);
  put_text(head, store_id_, 1);
  if ((flags & opens) != 0) {
    put_text(head, run_id, 1);
    // Only who opens the store decides on them, not who comes back after a lost connection.
    put_text(head, opened_ ? std::string_view(with_.defaults) : std::string_view(), 4);
  }
  std::size_t bytes = what.names.size() + head.size() + 256;
  for (const item& each : what.items) bytes += each.text.size() + 16;
  redis::command out = call_command(with_.script);
  out.reserve(bytes).key(with_.state_key).arg(head).arg(what.names);
  for (const item& each : what.items) out.arg(each.text);
  last_call_ = steady::now();
  return out;
}

void dispatcher::send(const call_ptr& what) {
  const auto place = std::ranges::find(outstanding_, what) - outstanding_.begin();
  what->number = confirmed_ + static_cast<std::uint64_t>(place) + 1;
  what->incarnation = incarnation_;
  what->now = call::state::sent;
  link_.send(command_of(*what, 0, {}), {with_.request_timeout},
             [this, what](result<redis::reply> answer) {
               const turnstile::inside in(turn_);
               on_answer(what, std::move(answer));
               // What the answered have asked for goes out from here.
               take_inbox();
               pump();
             });
}

// ---- answers

void dispatcher::on_answer(const call_ptr& what, result<redis::reply> answer) {
  what->now = call::state::waiting;
  if (answer && answer->view().is_error()) {
    answer = std::unexpected(answer->view().as_text().error());
  }
  if (!answer) return on_refused(what, std::move(answer.error()));
  const auto status = answer->size() > 0 ? (*answer)[0].as_text() : std::string_view();
  if (!status) {
    fail(what, bad_answer());
  } else if (*status == "ok" && answer->size() == what->items.size() + 2) {
    if (what->incarnation == incarnation_) confirmed_ = what->number;
    finish(what, *answer);
  } else if (*status == "done") {
    if (what->incarnation == incarnation_) confirmed_ = what->number;
    fail(what, unknown_outcome());
  } else if (*status == "again") {
    if (answer->size() > 1) note_report((*answer)[1].text());
  } else if (*status != "gap") {
    fail(what, bad_answer());
  }
}

void dispatcher::on_refused(const call_ptr& what, error why) {
  switch (why.kind) {
    case errc::not_found:
      if (why.code == "no_script") return load_script();
      return fail(what, why);
    case errc::outcome_unknown:
      if (why.code != "connection_lost") return fail(what, why);
      if (!what->lost_at) what->lost_at = steady::now();
      to_greet_ = true;
      answer_limits(what->work);
      return arm_timer();
    case errc::deadline_exceeded:
      // It may still happen; nobody can wait for it.
      fail(what, unknown_outcome());
      return begin_incarnation();
    case errc::unavailable:
      if (what->lost_at) return;
      return fail(what, why);
    default: return fail(what, why);
  }
}

void dispatcher::begin_incarnation() {
  store_id_ = fmt::format("{}-{}", id_base_, ++incarnation_);
  confirmed_ = 0;
  to_greet_ = true;
}

void dispatcher::load_script() {
  if (loading_) return;
  loading_ = true;
  link_.send(load_command(with_.script), {with_.request_timeout, redis::resend::if_lost},
             [this](result<redis::reply> loaded) {
               const turnstile::inside in(turn_);
               loading_ = false;
               if (loaded && !loaded->view().is_error()) return pump();
               const error why = loaded ? loaded->view().as_text().error() : loaded.error();
               while (!outstanding_.empty()) fail(outstanding_.front(), why);
               if (greeting_) return on_introduced(std::unexpected(why));
               pump();
             });
}

result<engine::answer> dispatcher::answer_of(const question& asked,
                                             std::string_view answered) const {
  result<engine::answer> found = decode_answer(asked.what, answered);
  if (found && std::holds_alternative<engine::probe_store>(asked.what)) {
    *found = engine::probe_store::report{
        .took = std::chrono::duration_cast<duration>(steady::now() - asked.asked_at)};
  }
  if (found && std::holds_alternative<engine::read_cache_stats>(asked.what)) {
    std::get<engine::read_cache_stats::numbers>(*found).bytes_max = with_.cache_bytes_max;
  }
  return found;
}

void dispatcher::finish(const call_ptr& what, const redis::reply& answered) {
  std::erase(outstanding_, what);
  lately_ = std::max(what->work.size(), lately_ / 2);
  note_report(answered[1].text(), what->hinted);
  auto at = answered.view().begin();
  ++at;
  std::vector<item_decoder> items;
  items.reserve(what->items.size());
  for (const item& each : what->items) {
    ++at;
    items.emplace_back(each.what, *at, with_.strongest);
  }
  for (std::size_t i = 0; i < what->work.size(); ++i) {
    unit& one = what->work[i];
    if (one.asked) {
      question& asked = *one.asked;
      asked.done(answer_of(asked, items[what->places[i]].text()));
      continue;
    }
    if (one.index != unit::none) {
      one.of->results[one.index] = items[what->places[i]].next(one.of->batch[one.index]);
    }
    answer(one);
  }
}

void dispatcher::fail(call_ptr what, const error& why) {
  std::erase(outstanding_, what);
  for (unit& one : what->work) {
    if (one.asked) {
      one.asked->done(std::unexpected(why));
      continue;
    }
    if (one.index != unit::none) {
      one.of->results[one.index] = std::unexpected(engine::refusal{why, 0});
    }
    answer(one);
  }
}

// ---- the connection

void dispatcher::link_changed(redis::link_state now, const error* why) {
  const turnstile::inside in(turn_);
  switch (now) {
    case redis::link_state::ready:
      ready_ = true;
      refusing_.reset();
      return pump();
    case redis::link_state::connecting: return;
    case redis::link_state::down:
    case redis::link_state::closed:
      if (!ready_) {
        refusing_ = not_connected();
        if (why != nullptr) refusing_->detail = why->detail;
        refuse_limits(*refusing_);
      }
      ready_ = false;
      to_greet_ = true;
      arm_timer();
      return pump();
  }
}

// They have no order with anything else, and need not wait for what may have happened.
void dispatcher::refuse_limits(const error& why) {
  call refused;
  std::deque<unit> others;
  for (unit& each : waiting_) {
    if (is_of_limits(each)) {
      refused.work.push_back(std::move(each));
    } else {
      others.push_back(std::move(each));
    }
  }
  waiting_ = std::move(others);
  if (!refused.work.empty()) fail(std::make_shared<call>(std::move(refused)), why);
}

void dispatcher::refuse_waiting(const error& why) {
  // In their order: what may have happened is waited for first.
  if (!outstanding_.empty()) return;
  call everything;
  while (!waiting_.empty()) {
    everything.work.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  if (!everything.work.empty()) fail(std::make_shared<call>(std::move(everything)), why);
  if (closed_ && !busy()) say_goodbye();
}

void dispatcher::give_up_lost() {
  const auto long_ago = steady::now() - with_.request_timeout;
  const auto is_over = [long_ago](const call_ptr& each) {
    return each->now == call::state::waiting && each->lost_at && *each->lost_at < long_ago;
  };
  bool any = false;
  while (!outstanding_.empty() && is_over(outstanding_.front())) {
    fail(outstanding_.front(), unknown_outcome());
    any = true;
  }
  if (any) begin_incarnation();
}

void dispatcher::greet() {
  greeting_ = true;
  link_.send(redis::command("INFO").arg("server"), {with_.request_timeout, redis::resend::if_lost},
             [this](result<redis::reply> told) {
               const turnstile::inside in(turn_);
               if (gone_) return;
               if (!told) return on_introduced(std::unexpected(std::move(told.error())));
               introduce(redis::parse_info(told->text()).run_id);
             });
}

void dispatcher::introduce(const std::string& run_id) {
  const call mine{.number = confirmed_};
  link_.send(command_of(mine, opens, run_id), {with_.request_timeout},
             [this](result<redis::reply> answer) {
               const turnstile::inside in(turn_);
               on_introduced(std::move(answer));
             });
}

void dispatcher::on_introduced(result<redis::reply> answer) {
  if (answer && answer->view().is_error()) {
    answer = std::unexpected(answer->view().as_text().error());
  }
  if (!answer && answer.error().code == "no_script" && !loading_) {
    greeting_ = false;
    load_script();
    return;
  }
  greeting_ = false;
  if (answer) {
    to_greet_ = false;
    if (answer->size() == 2) note_report((*answer)[1].text());
  }
  if (opened_) {
    result<void> opened;
    if (!answer) opened = std::unexpected(std::move(answer.error()));
    std::exchange(opened_, nullptr)(std::move(opened));
  } else if (!answer && ready_) {
    // The server is there and does not want us: so everything is told, until it does.
    while (!outstanding_.empty()) fail(outstanding_.front(), answer.error());
    refuse_waiting(answer.error());
    arm_timer();
    return;
  }
  pump();
}

// ---- what else there is

void dispatcher::note_report(std::string_view text, const std::vector<available_hint>& hinted) {
  call_report report;
  if (!decode_report(text, report)) return;
  if (!text.empty()) {
    unpacker in(text);
    call_hints hints;
    if (!decode_hints(in, hints)) return;
    leave_out(hinted, hints.available);
    notify(hints);
  }
  due_at_.reset();
  if (report.next_at && (with_.clock == nullptr || with_.clock->ticks())) {
    const duration left = std::clamp<duration>(*report.next_at - report.now, 0ms, 1h);
    due_at_ = steady::now() + left + due_slack;
  }
  arm_timer();
}

void dispatcher::pushed(const redis::reply& push) {
  if (push.size() != 3 || push[0].text() != "message") return;
  unpacker in(push[2].text());
  call_hints hints;
  // What it did itself it has been told.
  {
    const turnstile::inside mine(turn_);
    if (in.text() == store_id_) return;
  }
  if (decode_hints(in, hints)) notify(hints);
}

void dispatcher::notify(const call_hints& all) {
  for (const available_hint& each : all.available) {
    hints_.notify(engine::queue_topic(each.queue.project, each.queue.name), each.jobs);
  }
  for (const engine::job_id& each : all.jobs) hints_.notify(engine::job_topic(each.text()));
  if (all.crons) hints_.notify(engine::cron_topic());
  for (const engine::cache_key& each : all.cache) {
    hints_.notify(engine::cache_topic(each.project, each.key));
  }
  for (const engine::topic& each : all.topics) {
    // A lock goes to one of those who wait for it.
    const bool one = each.what == engine::topic::kind::lock;
    hints_.notify(each, one ? 1 : engine::wakeups::all);
  }
}

void dispatcher::arm_timer() {
  steady::time_point at = last_call_ + heartbeat;
  if (due_at_) at = std::min(at, *due_at_);
  if (closed_ || !ready_ || to_greet_) at = steady::now() + 100ms;
  // Moving a timer costs more than the rest of a call: one that comes too early finds that out.
  if (armed_for_ && *armed_for_ <= at) return;
  armed_for_ = at;
  timer_.expires_at(at);
  timer_.async_wait([this](const boost::system::error_code& cut) {
    if (cut) return;
    const turnstile::inside in(turn_);
    if (!gone_) on_timer();
  });
}

void dispatcher::on_timer() {
  armed_for_.reset();
  give_up_lost();
  pump();
  if (gone_) return;
  // What may have happened is waited for as long as ever, though not longer.
  if (closed_) return arm_timer();
  const bool due = due_at_ && *due_at_ <= steady::now();
  if (ready_ && !to_greet_ && !loading_ && outstanding_.empty() &&
      (due || last_call_ + heartbeat <= steady::now())) {
    due_at_.reset();
    outstanding_.push_back(std::make_shared<call>());
    send(outstanding_.back());
  }
  arm_timer();
}

void dispatcher::close(std::move_only_function<void()> done) {
  // Who handed in what has been answered since may still be on the way out.
  while (handing_in_ > 0) std::this_thread::yield();
  const turnstile::inside in(turn_);
  take_inbox();
  closed_ = std::move(done);
  timer_.cancel();
  armed_for_.reset();
  pump();
  if (closed_ && !ready_ && !busy()) say_goodbye();
  if (closed_) arm_timer();
}

void dispatcher::say_goodbye() {
  auto done = std::exchange(closed_, nullptr);
  gone_ = true;
  timer_.cancel();
  if (!ready_) return done();
  const call last{.number = confirmed_ + 1};
  link_.send(command_of(last, closes, {}), {with_.request_timeout},
             [done = std::move(done)](const result<redis::reply>&) mutable { done(); });
}

}  // namespace millrace::engine_redis
