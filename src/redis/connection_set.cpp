#include <millrace/redis/connection_set.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

namespace millrace::redis {
namespace {

constexpr auto tuple_awaitable = asio::as_tuple(asio::use_awaitable);

std::unexpected<error> stopped_error() {
  return fail(errc::cancelled, "cancelled", "the connections to Redis have been closed");
}

}  // namespace

/// Everything but the shared connections and the counters belongs to the strand.
struct connection_set::state final : std::enable_shared_from_this<connection_set::state> {
  state(asio::any_io_executor where, connection_set_options given);

  static awaitable<result<lease>> take(std::shared_ptr<state> self);
  /// What `co_spawn` hands over must be there before it has a value.
  static awaitable<std::optional<result<lease>>> take_some(std::shared_ptr<state> self);
  static awaitable<result<void>> wait_turn(std::shared_ptr<state> self,
                                           std::chrono::steady_clock::time_point until);
  static awaitable<void> stop(std::shared_ptr<state> self);
  void give_back(std::unique_ptr<connection> used, bool keep);
  void close();
  void fill();
  void wake_one();
  [[nodiscard]] std::unique_ptr<connection> make_dedicated();
  [[nodiscard]] std::unique_ptr<connection> take_idle();
  void drop(std::unique_ptr<connection> what);
  [[nodiscard]] bool has_room() const noexcept;

  const connection_set_options options;
  const asio::any_io_executor executor;
  const asio::strand<asio::any_io_executor> strand;
  std::vector<std::unique_ptr<connection>> shared;
  std::atomic<std::size_t> next_shared{0};
  std::atomic<std::size_t> dedicated{0};
  std::atomic<std::size_t> idle_count{0};

  struct turn {
    explicit turn(const asio::strand<asio::any_io_executor>& on) : timer(on) {}
    asio::steady_timer timer;
    bool granted{false};
  };
  std::deque<std::unique_ptr<connection>> idle;
  std::deque<std::shared_ptr<turn>> waiting;
  bool stopping{false};
};

/// How a lease comes back.
struct connection_set::lease::returning {
  std::shared_ptr<connection_set::state> to;
  std::unique_ptr<connection> what;
  bool keep{true};
};

connection_set::state::state(asio::any_io_executor where, connection_set_options given)
    : options(std::move(given)), executor(std::move(where)), strand(asio::make_strand(executor)) {
  for (std::size_t i = 0; i < std::max<std::size_t>(options.shared, 1); ++i) {
    connection_options each = options.each;
    each.use = connection_use::shared;
    shared.push_back(std::make_unique<connection>(executor, std::move(each)));
  }
}

bool connection_set::state::has_room() const noexcept {
  return shared.size() + dedicated < options.connections_max;
}

std::unique_ptr<connection> connection_set::state::make_dedicated() {
  connection_options each = options.each;
  each.use = connection_use::dedicated;
  ++dedicated;
  return std::make_unique<connection>(executor, std::move(each));
}

// One that is ready, or else the one that has been connecting longest.
std::unique_ptr<connection> connection_set::state::take_idle() {
  if (idle.empty()) return nullptr;
  auto best = std::ranges::find_if(idle, [](const std::unique_ptr<connection>& each) {
    return each->status().state == link_state::ready;
  });
  if (best == idle.end()) best = idle.begin();
  auto taken = std::move(*best);
  idle.erase(best);
  --idle_count;
  return taken;
}

void connection_set::state::drop(std::unique_ptr<connection> what) {
  what.reset();
  --dedicated;
  wake_one();
}

void connection_set::state::fill() {
  while (!stopping && idle.size() < options.idle_min && has_room()) {
    idle.push_back(make_dedicated());
    ++idle_count;
  }
}

void connection_set::state::wake_one() {
  if (waiting.empty()) return;
  const auto first = std::move(waiting.front());
  waiting.pop_front();
  first->granted = true;
  first->timer.cancel();
}

awaitable<result<void>> connection_set::state::wait_turn(
    std::shared_ptr<state> self, std::chrono::steady_clock::time_point until) {
  const auto mine = std::make_shared<turn>(self->strand);
  mine->timer.expires_at(until);
  self->waiting.push_back(mine);
  co_await mine->timer.async_wait(tuple_awaitable);
  if (mine->granted && !self->stopping) co_return result<void>{};
  std::erase(self->waiting, mine);
  const auto cancelled = co_await asio::this_coro::cancellation_state;
  if (self->stopping || cancelled.cancelled() != asio::cancellation_type::none) {
    co_return stopped_error();
  }
  co_return fail(errc::exhausted, "too_many_connections",
                 fmt::format("all {} connections to {} stayed in use",
                             self->options.connections_max, self->options.each.where.text()));
}

awaitable<result<connection_set::lease>> connection_set::state::take(std::shared_ptr<state> self) {
  co_await asio::this_coro::throw_if_cancelled(false);
  const auto until = std::chrono::steady_clock::now() + self->options.take_timeout;
  std::unique_ptr<connection> got;
  while (got == nullptr) {
    if (self->stopping) co_return stopped_error();
    got = self->take_idle();
    if (got == nullptr && self->has_room()) got = self->make_dedicated();
    if (got == nullptr) {
      auto turn = co_await wait_turn(self, until);
      if (!turn) co_return std::unexpected(std::move(turn.error()));
    }
  }
  self->fill();
  auto ready = co_await got->ready();
  if (!ready || self->stopping) {
    self->drop(std::move(got));
    if (ready) co_return stopped_error();
    co_return std::unexpected(std::move(ready.error()));
  }
  auto how = std::make_unique<lease::returning>();
  how->to = self;
  how->what = std::move(got);
  co_return lease{std::move(how)};
}

awaitable<std::optional<result<connection_set::lease>>> connection_set::state::take_some(
    std::shared_ptr<state> self) {
  auto got = co_await take(std::move(self));
  co_return std::optional<result<lease>>{std::move(got)};
}

void connection_set::state::give_back(std::unique_ptr<connection> used, bool keep) {
  const connection_status now = used->status();
  const bool wanted = !waiting.empty() || idle.size() < options.idle_min;
  // What is still owed on it must reach nobody else, nor hold anybody up.
  if (stopping || !keep || !wanted || now.state != link_state::ready || now.outstanding > 0) {
    return drop(std::move(used));
  }
  idle.push_back(std::move(used));
  ++idle_count;
  wake_one();
}

void connection_set::state::close() {
  stopping = true;
  while (!waiting.empty()) wake_one();
  while (!idle.empty()) drop(take_idle());
}

awaitable<void> connection_set::state::stop(std::shared_ptr<state> self) {
  self->close();
  for (const auto& each : self->shared) co_await each->stop();
}

connection_set::lease::lease(std::unique_ptr<returning> how) noexcept : how_(std::move(how)) {}
connection_set::lease::lease(lease&&) noexcept = default;
connection_set::lease& connection_set::lease::operator=(lease&& other) noexcept {
  lease old = std::move(*this);
  how_ = std::move(other.how_);
  return *this;
}

connection_set::lease::~lease() {
  if (how_ == nullptr) return;
  const auto to = how_->to;
  asio::post(to->strand, [how = std::move(how_)]() mutable {
    how->to->give_back(std::move(how->what), how->keep);
  });
}

connection& connection_set::lease::operator*() const noexcept { return *how_->what; }
connection* connection_set::lease::operator->() const noexcept { return how_->what.get(); }
void connection_set::lease::discard() noexcept { how_->keep = false; }

connection_set::connection_set(asio::any_io_executor executor, connection_set_options options)
    : state_(std::make_shared<state>(std::move(executor), std::move(options))) {}

connection_set::~connection_set() {
  for (const auto& each : state_->shared) each->close();
  asio::post(state_->strand, [self = state_] { self->close(); });
}

connection& connection_set::shared() noexcept {
  const std::size_t turn = state_->next_shared.fetch_add(1, std::memory_order_relaxed);
  return *state_->shared[turn % state_->shared.size()];
}

awaitable<result<connection_set::lease>> connection_set::take() {
  const std::shared_ptr<state> self = state_;
  co_await asio::this_coro::throw_if_cancelled(false);
  auto got = co_await asio::co_spawn(self->strand, state::take_some(self), asio::use_awaitable);
  co_return std::move(*got);
}

std::size_t connection_set::idle() const { return state_->idle_count; }
std::size_t connection_set::open() const { return state_->shared.size() + state_->dedicated; }

awaitable<void> connection_set::stop() {
  const std::shared_ptr<state> self = state_;
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await asio::co_spawn(self->strand, state::stop(self), asio::use_awaitable);
}

}  // namespace millrace::redis
