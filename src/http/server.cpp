#include <millrace/http/server.hpp>

#include "connection.hpp"
#include "listener.hpp"
#include "routes.hpp"
#include "server_core.hpp"

#include <millrace/base/assert.hpp>
#include <millrace/base/task_group.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <type_traits>
#include <utility>

namespace millrace::http {
namespace {

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
/// Connections beyond the bound that are told so, at one time; those beyond are just closed.
constexpr std::size_t refusals_max = 256;
/// After an accept that failed (no descriptors left, say) the next one waits so long.
constexpr std::chrono::milliseconds accept_pause{100};
/// How long a start waits for the store to tell of changes before the cache is warmed all the same,
/// and how often it looks.
constexpr std::chrono::milliseconds near_wait{10'000};
constexpr std::chrono::milliseconds near_look{100};
/// How often it is noted which keys are read most.
constexpr std::chrono::seconds top_interval{60};

std::string host_text(const asio::ip::address& address) {
  return address.is_v6() ? fmt::format("[{}]", address.to_string()) : address.to_string();
}

// Fine enough that a deadline is late by an eighth at most, and never more than a second.
std::chrono::milliseconds sweep_interval(const server_limits& limits) {
  using std::chrono::milliseconds;
  const milliseconds shortest = std::min(
      {limits.header_deadline, limits.body_deadline, limits.idle_deadline, limits.write_deadline});
  return std::clamp(shortest / 8, milliseconds{5}, milliseconds{1'000});
}

awaitable<void> sweep(std::shared_ptr<server_core> core) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  while (true) {
    timer.expires_after(sweep_interval(core->options.limits));
    const auto slept = co_await timer.async_wait(as_result);
    if (std::get<0>(slept)) co_return;
    core->connections.cut_late();
  }
}

// What limits owe the store, or the other way round, is settled once a second.
awaitable<void> settle_limits(std::shared_ptr<server_core> core) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  while (true) {
    timer.expires_after(std::chrono::seconds{1});
    const auto slept = co_await timer.async_wait(as_result);
    if (std::get<0>(slept)) co_return;
    co_await core->api.limits.settle_accounts();
  }
}

std::uint64_t cache_reads(const server_core& core) {
  const cache::cache_numbers numbers = core.api.cache.numbers();
  return numbers.hits + numbers.stale + numbers.misses;
}

// What was read most before the last stop lies near again after a start, once the store tells of
// changes; and what is read most now is noted for the next one.
awaitable<void> keep_warm(std::shared_ptr<server_core> core) {
  const cache::near_cache* const near = core->options.near_cache;
  if (near == nullptr) co_return;
  asio::steady_timer timer(co_await asio::this_coro::executor);
  for (auto waited = near_wait; !near->is_told() && waited > near_wait.zero();
       waited -= near_look) {
    timer.expires_after(near_look);
    const auto slept = co_await timer.async_wait(as_result);
    if (std::get<0>(slept)) co_return;
  }
  // A cache that cannot be read now begins cold.
  static_cast<void>(co_await core->api.cache.warm_near(core->api.project));
  std::uint64_t noted = cache_reads(*core);
  while (true) {
    timer.expires_after(top_interval);
    const auto slept = co_await timer.async_wait(as_result);
    if (std::get<0>(slept)) co_return;
    const std::uint64_t reads = cache_reads(*core);
    if (reads == noted) continue;
    noted = reads;
    static_cast<void>(co_await core->api.cache.record_top(core->api.project));
  }
}

void begin_connection(const std::shared_ptr<server_core>& core, asio::io_context& context,
                      stream_socket socket, connection::kind kind) {
  const std::size_t open = core->connections.size() + core->streams->open();
  const std::size_t open_max = core->options.limits.connections_max;
  if (open >= open_max) core->numbers.refused_connections.fetch_add(1);
  if (open >= open_max + refusals_max) return;
  auto one = std::make_shared<connection>(core, std::move(socket), kind);
  asio::co_spawn(context.get_executor(),
                 open < open_max ? connection::serve(one) : connection::refuse(one),
                 asio::detached);
}

template <class Acceptor>
awaitable<void> accept_all(std::shared_ptr<server_core> core, asio::io_context* context,
                           Acceptor* acceptor, connection::kind kind) {
  asio::steady_timer pause(acceptor->get_executor());
  while (acceptor->is_open()) {
    auto accepted = co_await acceptor->async_accept(context->get_executor(), as_result);
    const boost::system::error_code code = std::get<0>(accepted);
    if (code == asio::error::operation_aborted) co_return;
    if (code) {
      pause.expires_after(accept_pause);
      const auto slept = co_await pause.async_wait(as_result);
      if (std::get<0>(slept)) co_return;
      continue;
    }
    auto& socket = std::get<1>(accepted);
    if constexpr (std::is_same_v<Acceptor, asio::ip::tcp::acceptor>) {
      boost::system::error_code ignored;
      socket.set_option(asio::ip::tcp::no_delay(true), ignored);
    }
    begin_connection(core, *context, stream_socket(std::move(socket)), kind);
  }
}

}  // namespace

struct server::state {
  state(asio::io_context& io, engine::store& store, server_options options)
      : context(io),
        control(asio::make_strand(io)),
        core(std::make_shared<server_core>(io, store, std::move(options), all_routes())),
        tasks(control) {}

  [[nodiscard]] static awaitable<void> stop(std::shared_ptr<state> self);

  asio::io_context& context;
  /// Owns the listening sockets and the tasks.
  asio::any_io_executor control;
  std::shared_ptr<server_core> core;
  std::vector<asio::ip::tcp::acceptor> tcp;
  std::vector<asio::local::stream_protocol::acceptor> local;
  bool started{false};
  bool stopped{false};
  task_group tasks;
};

server::server(asio::io_context& context, engine::store& store, server_options options)
    : state_(std::make_shared<state>(context, store, std::move(options))) {}

server::~server() { MILLRACE_ASSERT(!state_->started || state_->stopped); }

result<void> server::start() {
  MILLRACE_ASSERT(!state_->started);
  const server_options& options = state_->core->options;
  std::vector<std::string> hosts = options.host_names;
  for (const std::string& address : options.listen) {
    auto opened = listen_tcp(state_->control, address);
    if (!opened) return std::unexpected(std::move(opened.error()));
    for (auto& one : *opened) state_->tcp.push_back(std::move(one));
    if (const result<host_port> parts = parse_host(address)) hosts.push_back(parts->host);
  }
  if (!options.unix_socket.empty()) {
    auto opened = listen_unix(state_->control, options.unix_socket);
    if (!opened) return std::unexpected(std::move(opened.error()));
    state_->local.push_back(std::move(*opened));
  }
  state_->core->access = access_check(std::move(hosts));
  state_->core->streams->start();
  state_->started = true;
  asio::post(state_->control, [state = state_] {
    for (auto& one : state->tcp) {
      state->tasks.spawn(accept_all(state->core, &state->context, &one, connection::kind::tcp));
    }
    for (auto& one : state->local) {
      state->tasks.spawn(accept_all(state->core, &state->context, &one, connection::kind::local));
    }
    state->tasks.spawn(sweep(state->core));
    state->tasks.spawn(settle_limits(state->core));
    state->tasks.spawn(keep_warm(state->core));
  });
  return {};
}

result<void> server::change_limits(limit_settings to) {
  return state_->core->api.limits.change_settings(std::move(to));
}

result<void> server::change_families(cache::family_set to) {
  return state_->core->api.cache.change_families(std::move(to));
}

std::vector<std::string> server::addresses() const {
  std::vector<std::string> urls;
  for (const auto& one : state_->tcp) {
    boost::system::error_code code;
    const auto endpoint = one.local_endpoint(code);
    if (code) continue;
    urls.push_back(fmt::format("http://{}:{}", host_text(endpoint.address()), endpoint.port()));
  }
  return urls;
}

namespace {

// Waits until no connection is left; false when it is `until` before.
awaitable<bool> drained(std::shared_ptr<server_core> core, asio::steady_timer::time_point until) {
  const auto executor = co_await asio::this_coro::executor;
  auto timer = std::make_shared<asio::steady_timer>(executor, until);
  core->connections.on_empty(
      [executor, timer] { asio::post(executor, [timer] { timer->cancel(); }); });
  const auto slept = co_await timer->async_wait(as_result);
  co_return std::get<0>(slept) == asio::error::operation_aborted;
}

}  // namespace

// On the control strand.
awaitable<void> server::state::stop(std::shared_ptr<state> self) {
  if (!self->started || self->stopped) co_return;
  server_core& core = *self->core;
  const auto until = std::chrono::steady_clock::now() + core.options.limits.stop_deadline;
  core.stopping.store(true);
  co_await self->tasks.stop();
  boost::system::error_code ignored;
  for (auto& one : self->tcp) one.close(ignored);
  for (auto& one : self->local) one.close(ignored);
  if (!self->local.empty()) {
    std::error_code gone;
    std::filesystem::remove(core.options.unix_socket, gone);
  }
  core.connections.wake_waiting();
  core.streams->send_away();
  const bool in_time = co_await drained(self->core, until);
  if (!in_time) {
    core.connections.cut_all();
    // What still runs waits for the store, which answers everything it was asked.
    co_await drained(self->core, asio::steady_timer::time_point::max());
  }
  if (core.options.near_cache != nullptr && cache_reads(core) > 0) {
    static_cast<void>(co_await core.api.cache.record_top(core.api.project));
  }
  co_await sse_hub::ended(core.streams, until);
  self->stopped = true;
}

awaitable<void> server::stop() {
  co_await asio::co_spawn(state_->control, state::stop(state_), asio::use_awaitable);
}

}  // namespace millrace::http
