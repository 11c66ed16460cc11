#include <millrace/engine_redis/redis_store.hpp>

#include "cache_tracker.hpp"
#include "dispatcher.hpp"
#include "job_codec.hpp"
#include "opening.hpp"
#include "work.hpp"

#include <millrace/base/names.hpp>
#include <millrace/engine/checks.hpp>
#include <millrace/engine/limits.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <pthread.h>

#include <atomic>
#include <future>
#include <optional>
#include <thread>
#include <utility>

namespace millrace::engine_redis {
namespace {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

error store_busy() {
  return {errc::exhausted, "store_busy", "More transactions wait than the store can take.", "", 1s};
}

std::string defaults_of(const engine::queue_settings& settings) {
  const std::string text = settings_to_json(settings);
  return text == "{}" ? std::string() : text;
}

class store_impl final : public redis_store {
public:
  explicit store_impl(options with);
  ~store_impl() override;
  store_impl(const store_impl&) = delete;
  store_impl& operator=(const store_impl&) = delete;

  [[nodiscard]] result<void> connect();

  void submit(std::vector<engine::transaction> batch, commit_handler done) override;
  void ask(engine::query what, answer_handler done) override;
  [[nodiscard]] engine::wakeups& hints() noexcept override { return hints_; }
  [[nodiscard]] engine::store_traits traits() const noexcept override { return traits_; }
  void tell_cache_changes(engine::cache_observer& to,
                          std::chrono::milliseconds mark_every) override;

private:
  [[nodiscard]] redis::connection_options connection_options();
  void tell_outage(redis::link_state now, const error* why);
  // Only while opening and closing.
  /// Runs on the engine's thread and waits for it.
  void run_there(std::move_only_function<void(std::promise<void>&)> what);
  /// On a loop of the program nobody else may be there to run it.
  template <class Value>
  Value wait_for(std::future<Value> what);

  const options with_;
  engine::wakeups hints_;
  engine::store_traits traits_;
  std::atomic<std::size_t> pending_{0};
  /// Of the engine's thread: whether there was a connection, and there is none.
  bool is_reached_{false};
  bool is_away_{false};

  std::optional<asio::io_context> own_loop_;
  asio::io_context& context_;
  asio::executor_work_guard<asio::io_context::executor_type> guard_{context_.get_executor()};
  // Made and ended on the engine's thread, while nobody uses the store.
  std::unique_ptr<redis::connection> link_;
  std::unique_ptr<dispatcher> dispatcher_;
  std::unique_ptr<cache_tracker> tracker_;
  /// None where it lives on a loop of the program.
  std::thread thread_;
};

store_impl::store_impl(options with)
    : with_(std::move(with)), context_(with_.loop != nullptr ? *with_.loop : own_loop_.emplace(1)) {
  if (!own_loop_) return;
  thread_ = std::thread([this] { context_.run(); });
  ::pthread_setname_np(thread_.native_handle(), "mr-redis");
}

store_impl::~store_impl() {
  run_there([this](std::promise<void>& finished) {
    if (!tracker_) return finished.set_value();
    asio::co_spawn(context_, tracker_->stop(),
                   [&finished](const std::exception_ptr&) { finished.set_value(); });
  });
  run_there([this](std::promise<void>& finished) {
    if (!dispatcher_) return finished.set_value();
    dispatcher_->close([&finished] { finished.set_value(); });
  });
  run_there([this](std::promise<void>& finished) {
    if (!link_) return finished.set_value();
    link_->close();
    asio::co_spawn(context_, link_->stop(),
                   [&finished](const std::exception_ptr&) { finished.set_value(); });
  });
  run_there([this](std::promise<void>& finished) {
    tracker_.reset();
    dispatcher_.reset();
    link_.reset();
    finished.set_value();
  });
  guard_.reset();
  if (thread_.joinable()) thread_.join();
}

void store_impl::run_there(std::move_only_function<void(std::promise<void>&)> what) {
  std::promise<void> finished;
  asio::post(context_, [&] { what(finished); });
  wait_for(finished.get_future());
}

template <class Value>
Value store_impl::wait_for(std::future<Value> what) {
  const auto is_there = [&] { return what.wait_for(0s) == std::future_status::ready; };
  while (!own_loop_ && !is_there()) {
    if (context_.stopped()) context_.restart();
    context_.run_one();
  }
  return what.get();
}

redis::connection_options store_impl::connection_options() {
  redis::connection_options out;
  out.where = with_.where;
  out.tls = with_.tls;
  out.down_policy = redis::when_down::refuse;
  out.connect_timeout = with_.connect_timeout;
  out.request_timeout = with_.request_timeout;
  out.busy_poll = with_.busy_poll;
  out.on_push = [this](const redis::reply& push) {
    if (dispatcher_) dispatcher_->pushed(push);
  };
  out.on_state = [this](redis::link_state now, const error* why) {
    if (dispatcher_) dispatcher_->link_changed(now, why);
    tell_outage(now, why);
  };
  return out;
}

void store_impl::tell_outage(redis::link_state now, const error* why) {
  const bool lost = now == redis::link_state::down && is_reached_ && !is_away_;
  const bool found = now == redis::link_state::ready;
  const bool back = found && is_away_;
  is_reached_ = is_reached_ || found;
  is_away_ = (is_away_ || lost) && !found;
  if ((lost || back) && with_.on_outage != nullptr) with_.on_outage(lost ? why : nullptr);
}

result<void> store_impl::connect() {
  const std::string root = "{" + with_.prefix + "}:";
  link_ = std::make_unique<redis::connection>(context_.get_executor(), connection_options());
  std::promise<result<opened_server>> prepared;
  asio::co_spawn(context_, prepare(*link_, with_),
                 [&](const std::exception_ptr&, result<opened_server> done) {
                   prepared.set_value(std::move(done));
                 });
  result<opened_server> server = wait_for(prepared.get_future());
  if (!server) return std::unexpected(std::move(server.error()));
  traits_ = server->traits;

  std::promise<result<void>> opened;
  asio::post(context_, [&] {
    dispatcher_ = std::make_unique<dispatcher>(
        context_, *link_, hints_,
        dispatcher::settings{.state_key = root + "state",
                             .script = server->script,
                             .run_id = server->facts.run_id,
                             .defaults = defaults_of(with_.defaults),
                             .cache_bytes_max = with_.cache_bytes_max,
                             .clock = with_.clock,
                             .strongest = traits_.strongest,
                             .request_timeout = with_.request_timeout});
    link_->subscribe(
        redis::subscription_kind::channel, root + "hints", [&](result<redis::reply> subscribed) {
          if (!subscribed) return opened.set_value(std::unexpected(subscribed.error()));
          dispatcher_->open([&](result<void> done) { opened.set_value(std::move(done)); });
        });
  });
  return wait_for(opened.get_future());
}

void store_impl::tell_cache_changes(engine::cache_observer& to,
                                    std::chrono::milliseconds mark_every) {
  run_there([&](std::promise<void>& finished) {
    redis::connection_options link;
    link.where = with_.where;
    link.tls = with_.tls;
    link.connect_timeout = with_.connect_timeout;
    link.request_timeout = with_.request_timeout;
    tracker_ = std::make_unique<cache_tracker>(context_, std::move(link),
                                               "{" + with_.prefix + "}:", to, mark_every);
    finished.set_value();
  });
}

void store_impl::submit(std::vector<engine::transaction> batch, commit_handler done) {
  auto of = std::make_shared<submission>();
  const std::size_t count = batch.size();
  const bool too_many = pending_.fetch_add(count) + count > engine::pending_transactions_max;
  of->batch = std::move(batch);
  of->results.resize(count);
  of->done = [this, count, done = std::move(done)](auto results) mutable {
    pending_ -= count;
    done(std::move(results));
  };
  std::vector<unit> work;
  for (std::size_t i = 0; i < count; ++i) {
    if (too_many) {
      of->results[i] = std::unexpected(engine::refusal{store_busy(), 0});
    } else if (auto why = engine::check_transaction(of->batch[i])) {
      of->results[i] = std::unexpected(std::move(*why));
    } else {
      work.push_back({.of = of, .index = i});
    }
  }
  if (work.empty()) work.push_back({.of = of});
  of->left = work.size();
  dispatcher_->hand_in(std::move(work));
}

void store_impl::ask(engine::query what, answer_handler done) {
  if (result<void> fine = check_query(what); !fine) {
    asio::post(context_, [done = std::move(done), why = std::move(fine.error())]() mutable {
      done(std::unexpected(std::move(why)));
    });
    return;
  }
  std::vector<unit> work(1);
  work.front().asked =
      std::make_unique<question>(question{std::move(what), std::move(done), steady::now()});
  dispatcher_->hand_in(std::move(work));
}

}  // namespace

result<std::unique_ptr<redis_store>> redis_store::open(options with) {
  if (auto fine = check_name(with.prefix, "prefix"); !fine) {
    return std::unexpected(std::move(fine.error()));
  }
  if (with.prefix.find_first_of("{}") != std::string::npos) {
    return invalid("prefix", "prefix must have no braces: the keys put them around it.");
  }
  if (auto fine = engine::check_queue_settings(with.defaults); !fine) {
    return std::unexpected(std::move(fine.error()));
  }
  auto store = std::make_unique<store_impl>(std::move(with));
  if (result<void> done = store->connect(); !done) return std::unexpected(std::move(done.error()));
  return store;
}

}  // namespace millrace::engine_redis
