#include <millrace/engine/wakeups.hpp>

#include <millrace/base/assert.hpp>

#include <boost/asio/append.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <list>
#include <mutex>
#include <tuple>
#include <unordered_map>
#include <utility>

namespace millrace::engine {
namespace {

struct topic_hash {
  std::size_t operator()(const topic& t) const noexcept {
    return std::hash<std::string>{}(t.name) * 31 + static_cast<std::size_t>(t.what);
  }
};

}  // namespace

// A listener is *asleep* (in a wait, or with a call at a hint) or *looking* (at the store).
// Sleepers stand in a queue of their topic and are woken one by one. Those who look are told of
// every hint, by the topic's count of hints, because their look may be stale; they notice when they
// want to sleep. So a sleeper is left asleep only when as many others as there were hints have gone
// looking.
struct wakeups::registry {
  struct room {
    std::uint64_t hints{0};
    std::size_t listeners{0};
    std::list<listener::state*> asleep;
  };
  using rooms = std::unordered_map<topic, room, topic_hash>;

  using calls = std::vector<std::move_only_function<void()>>;
  /// Puts into `to_call` what has to be called once the mutex is free again.
  static void hint(room& where, std::size_t count, calls& to_call);

  std::mutex mutex;
  // Nodes stay where they are, so listeners keep pointers to theirs.
  rooms by_topic;
  // By kind of topic: lets `notify` return without the lock where nobody listens.
  std::array<std::atomic<std::size_t>, topic::kinds> seats{};
  std::atomic<std::size_t>& seats_of(topic::kind what) {
    return seats[static_cast<std::size_t>(what)];
  }
};

// Everything below is guarded by the registry's mutex, calls of the timer too: the listener arms
// it, those who notify cancel it.
struct wakeups::listener::state {
  struct seat {
    registry::rooms::value_type* room{nullptr};
    // Hints of the room this listener knows of.
    std::uint64_t seen{0};
    std::list<state*>::iterator place{};
    // This seat woke the listener while others slept on: should it end without having acted on the
    // hint, one of them has to.
    bool owes{false};
  };

  explicit state(std::shared_ptr<registry> r) : hints(std::move(r)) {}

  [[nodiscard]] bool asleep() const { return lies; }
  [[nodiscard]] bool has_news() const {
    return std::ranges::any_of(
        seats, [](const seat& each) { return each.room->second.hints != each.seen; });
  }
  void see_all() {
    for (seat& each : seats) each.seen = each.room->second.hints;
  }
  void settle() {
    for (seat& each : seats) each.owes = false;
  }
  void lie_down() {
    for (seat& each : seats) {
      auto& queue = each.room->second.asleep;
      each.place = queue.insert(queue.end(), this);
    }
    lies = true;
  }
  void get_up() {
    if (!asleep()) return;
    for (seat& each : seats) each.room->second.asleep.erase(each.place);
    lies = false;
    timer = nullptr;
  }
  // What came since the last look, if anything did.
  bool take_news() {
    // Whoever asks has looked, so it owes nobody.
    settle();
    if (!has_news()) return false;
    see_all();
    return true;
  }

  const std::shared_ptr<registry> hints;
  std::vector<seat> seats;
  bool lies{false};
  // Asleep, it has one of the two: the timer of its wait, or what is called at a hint.
  asio::steady_timer* timer{nullptr};
  std::move_only_function<void()> act;
  bool woken{false};

  // Gets the listener up however its wait ends, be it with the event loop.
  class night final {
  public:
    explicit night(state& who) noexcept : who_(who) {}
    night(const night&) = delete;
    night& operator=(const night&) = delete;
    ~night() {
      const std::lock_guard lock(who_.hints->mutex);
      who_.get_up();
      who_.see_all();
    }

  private:
    state& who_;
  };
};

void wakeups::registry::hint(room& where, std::size_t count, calls& to_call) {
  ++where.hints;
  for (std::size_t i = 0; i < count && !where.asleep.empty(); ++i) {
    listener::state& first = *where.asleep.front();
    first.woken = true;
    if (first.act != nullptr) {
      to_call.push_back(std::exchange(first.act, nullptr));
      first.see_all();
    } else {
      first.timer->cancel();
    }
    first.get_up();
    for (auto& seat : first.seats) {
      if (&seat.room->second == &where) seat.owes = count != all && !where.asleep.empty();
    }
  }
}

wakeups::wakeups() : registry_(std::make_shared<registry>()) {}
wakeups::~wakeups() = default;

void wakeups::notify(const topic& what, std::size_t count) {
  if (count == 0 || !heard(what.what)) return;
  registry::calls to_call;
  {
    const std::lock_guard lock(registry_->mutex);
    const auto found = registry_->by_topic.find(what);
    if (found != registry_->by_topic.end()) registry::hint(found->second, count, to_call);
  }
  for (auto& each : to_call) each();
}

bool wakeups::heard(topic::kind what) const noexcept {
  return registry_->seats_of(what).load() != 0;
}

wakeups::listener wakeups::listen(std::vector<topic> topics) {
  MILLRACE_ASSERT(!topics.empty());
  auto made = std::make_shared<listener::state>(registry_);
  made->seats.reserve(topics.size());
  const std::lock_guard lock(registry_->mutex);
  for (topic& each : topics) {
    auto& room = *registry_->by_topic.try_emplace(std::move(each)).first;
    ++room.second.listeners;
    made->seats.push_back({.room = &room, .seen = room.second.hints});
    registry_->seats_of(room.first.what).fetch_add(1);
  }
  return listener(std::move(made));
}

wakeups::listener::listener(std::shared_ptr<state> s) noexcept : state_(std::move(s)) {}
wakeups::listener::listener(listener&&) noexcept = default;

wakeups::listener& wakeups::listener::operator=(listener&& other) noexcept {
  listener old(std::exchange(state_, std::move(other.state_)));
  return *this;
}

wakeups::listener::~listener() {
  if (!state_) return;
  registry& hints = *state_->hints;
  registry::calls to_call;
  {
    const std::lock_guard lock(hints.mutex);
    state_->get_up();
    for (const auto& seat : state_->seats) {
      auto& room = seat.room->second;
      hints.seats_of(seat.room->first.what).fetch_sub(1);
      if (seat.owes) registry::hint(room, 1, to_call);
      if (--room.listeners == 0) hints.by_topic.erase(hints.by_topic.find(seat.room->first));
    }
    state_->seats.clear();
  }
  for (auto& each : to_call) each();
}

awaitable<bool> wakeups::listener::wait(std::chrono::steady_clock::duration longest) {
  // Kept by value: the coroutine may be dropped after the listener.
  const std::shared_ptr<state> self = state_;
  asio::steady_timer timer(co_await asio::this_coro::executor);
  const state::night night(*self);
  // Runs once the coroutine is suspended, so that it may be resumed at once by another thread.
  const auto fall_asleep = [](auto handler, state* who, asio::steady_timer* until, auto span) {
    const std::lock_guard lock(who->hints->mutex);
    MILLRACE_ASSERT(!who->asleep());
    who->woken = who->take_news();
    if (who->woken) {
      asio::post(asio::append(std::move(handler), boost::system::error_code{}));
      return;
    }
    who->timer = until;
    who->lie_down();
    until->expires_after(span);
    until->async_wait(std::move(handler));
  };
  auto ended = co_await asio::async_initiate<const asio::as_tuple_t<asio::deferred_t>,
                                             void(boost::system::error_code)>(
      fall_asleep, asio::as_tuple(asio::deferred), self.get(), &timer, longest);

  const std::lock_guard lock(self->hints->mutex);
  // Whether it was woken is settled from here on.
  self->get_up();
  if (!self->woken && std::get<0>(ended)) {
    throw boost::system::system_error(asio::error::operation_aborted);
  }
  co_return self->woken;
}

void wakeups::listener::call_at_hint(std::move_only_function<void()> act) {
  {
    const std::lock_guard lock(state_->hints->mutex);
    MILLRACE_ASSERT(!state_->asleep());
    state_->woken = state_->take_news();
    if (!state_->woken) {
      state_->act = std::move(act);
      state_->lie_down();
      return;
    }
  }
  act();
}

bool wakeups::listener::call_off() noexcept {
  // What it holds goes when the mutex is free again.
  std::move_only_function<void()> gone;
  const std::lock_guard lock(state_->hints->mutex);
  if (state_->act == nullptr) return false;
  gone = std::exchange(state_->act, nullptr);
  state_->get_up();
  return true;
}

void wakeups::listener::consume() noexcept {
  const std::lock_guard lock(state_->hints->mutex);
  state_->settle();
}

topic keyed_topic(topic::kind what, std::string_view project, std::string_view key) {
  topic made{what, {}};
  made.name.reserve(project.size() + 1 + key.size());
  // No project has a slash, so no two pairs meet.
  made.name.append(project).append("/").append(key);
  return made;
}

topic queue_topic(std::string_view project, std::string_view queue) {
  return keyed_topic(topic::kind::queue, project, queue);
}

topic job_topic(const std::string& id_text) { return {topic::kind::job, id_text}; }

topic cron_topic() { return {topic::kind::cron, {}}; }

topic stream_topic(std::string_view project, std::string_view stream) {
  return keyed_topic(topic::kind::stream, project, stream);
}

topic lock_topic(std::string_view project, std::string_view resource) {
  return keyed_topic(topic::kind::lock, project, resource);
}

topic progress_topic(std::string_view project, std::string_view correlation_id) {
  return keyed_topic(topic::kind::progress, project, correlation_id);
}

topic flow_topic(std::string_view project, std::string_view flow_id) {
  return keyed_topic(topic::kind::flow, project, flow_id);
}

}  // namespace millrace::engine
