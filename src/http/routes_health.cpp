#include "assets.hpp"
#include "route_support.hpp"
#include "routes.hpp"
#include "sse_hub.hpp"

#include <millrace/base/text_time.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/http/cache_codec.hpp>
#include <millrace/http/job_codec.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <iterator>
#include <map>
#include <string>
#include <utility>

namespace millrace::http {
namespace {

constexpr std::string_view metrics_type = "text/plain; version=0.0.4; charset=utf-8";
constexpr std::string_view html_type = "text/html; charset=utf-8";
/// Queues that the metrics name, by name; a scrape stays bounded however many there are.
constexpr std::size_t metrics_queues_max = 1000;

void append_queue_metrics(std::string& out, const std::vector<engine::queue_info>& queues,
                          timestamp now) {
  using engine::queue_info;
  struct gauge {
    std::string_view status;
    std::uint64_t queue_info::* value;
  };
  constexpr std::array<gauge, 7> gauges{{{"queued", &queue_info::waiting},
                                         {"scheduled", &queue_info::scheduled},
                                         {"running", &queue_info::running},
                                         {"retrying", &queue_info::retrying},
                                         {"dead", &queue_info::dead},
                                         {"completed", &queue_info::completed},
                                         {"cancelled", &queue_info::cancelled}}};
  const auto at = std::back_inserter(out);
  out +=
      "# HELP millrace_queue_jobs Jobs of a queue by status.\n# TYPE millrace_queue_jobs gauge\n";
  for (const queue_info& one : queues) {
    for (const gauge& of : gauges) {
      out += "millrace_queue_jobs{queue=\"";
      append_label_value(out, one.queue.name);
      fmt::format_to(at, "\",status=\"{}\"}} {}\n", of.status, one.*of.value);
    }
  }
  out +=
      "# HELP millrace_queue_oldest_seconds How long the oldest available job has waited.\n"
      "# TYPE millrace_queue_oldest_seconds gauge\n";
  for (const queue_info& one : queues) {
    const timestamp since = one.oldest_available_at.value_or(now);
    out += "millrace_queue_oldest_seconds{queue=\"";
    append_label_value(out, one.queue.name);
    fmt::format_to(at, "\"}} {}\n", to_seconds(std::max(duration{0}, now - since)));
  }
  out +=
      "# HELP millrace_queue_paused Whether a queue hands out no jobs.\n"
      "# TYPE millrace_queue_paused gauge\n";
  for (const queue_info& one : queues) {
    out += "millrace_queue_paused{queue=\"";
    append_label_value(out, one.queue.name);
    fmt::format_to(at, "\"}} {}\n", one.paused ? 1 : 0);
  }
}

void append_limit_metrics(std::string& out, const std::map<std::string, limit_numbers>& of) {
  struct family {
    std::string_view name;
    std::string_view help;
    std::uint64_t limit_numbers::* value;
  };
  constexpr std::array families{
      family{"allowed",
             "Checks of limits that were allowed, by policy; - for limits that callers "
             "named.",
             &limit_numbers::allowed},
      family{"refused", "Checks that were refused.", &limit_numbers::refused},
      family{"near", "Allowed with at most a fifth of the binding limit left.",
             &limit_numbers::near},
      family{"degraded", "Decided without the store.", &limit_numbers::degraded},
      family{"blocked", "Refused because an id was blocked.", &limit_numbers::blocked},
  };
  const auto at = std::back_inserter(out);
  for (const family& one : families) {
    if (of.empty()) break;
    fmt::format_to(at,
                   "# HELP millrace_limit_{0}_total {1}\n# TYPE millrace_limit_{0}_total counter\n",
                   one.name, one.help);
    for (const auto& [policy, numbers] : of) {
      fmt::format_to(at, "millrace_limit_{}_total{{policy=\"", one.name);
      append_label_value(out, policy);
      fmt::format_to(at, "\"}} {}\n", numbers.*one.value);
    }
  }
}

double uptime_seconds(const service& with) {
  const auto up = std::chrono::steady_clock::now() - with.started;
  return std::chrono::duration<double>(up).count();
}

// borrows: awaited in place
awaitable<result<std::vector<engine::queue_info>>> all_queues(service& with) {
  std::vector<engine::queue_info> all;
  std::string cursor;
  do {
    auto page = co_await engine::ask(
        with.store, engine::list_queues{.project = with.project, .limit = 200, .cursor = cursor});
    if (!page) co_return std::unexpected(std::move(page.error()));
    std::ranges::move(page->items, std::back_inserter(all));
    cursor = std::move(page->cursor);
  } while (!cursor.empty() && all.size() < metrics_queues_max);
  co_return all;
}

}  // namespace

awaitable<response> show_page(service&, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  response answer{.content_type = html_type, .body = std::string{assets::page}};
  // All of the page is in the page, and it talks to nobody but this server.
  answer.headers =
      "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; script-src "
      "'unsafe-inline'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
      "frame-ancestors 'none'\r\nReferrer-Policy: no-referrer\r\n";
  co_return answer;
}

awaitable<response> show_openapi(service&, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  co_return json_response(std::string{assets::openapi});
}

awaitable<response> show_health(service& with, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  const engine::store_traits traits = with.store.traits();
  const auto probe = co_await engine::ask(with.store, engine::probe_store{});
  std::string body = fmt::format(
      R"({{"status":"{}","version":"{}","engine":"{}","durability":"{}","uptime":{:.3f})",
      probe ? "ok" : "failing", with.options.version, traits.engine,
      engine::to_string(traits.strongest), uptime_seconds(with));
  if (!probe) {
    body += R"(,"error":)";
    append_problem(body, probe.error());
  }
  body += '}';
  co_return json_response(std::move(body), probe ? 200 : 503);
}

awaitable<response> show_live(service&, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  co_return json_response(R"({"status":"ok"})");
}

awaitable<response> show_ready(service& with, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  if (with.stopping) {
    co_return problem(error{
        .kind = errc::unavailable, .code = "stopping", .detail = "The server is about to end."});
  }
  const auto probe = co_await engine::ask(with.store, engine::probe_store{});
  if (!probe) {
    // Whatever is wrong with the store: not ready.
    const error& why = probe.error();
    const unsigned status = std::max(status_of(why), 503U);
    co_return problem(status, why);
  }
  std::string body = R"({"status":"ready","took":)";
  append_number(body, to_seconds(probe->took));
  body += '}';
  co_return json_response(std::move(body));
}

namespace {

/// What the store alone knows.
struct stored_numbers {
  timestamp now;
  std::vector<engine::queue_info> queues;
  engine::read_cache_stats::numbers cached;
  std::uint64_t sessions{0};
};

// borrows: awaited in place
awaitable<result<stored_numbers>> read_stored(service& with) {
  const auto now = co_await engine::ask(with.store, engine::read_clock{});
  if (!now) co_return std::unexpected(now.error());
  auto queues = co_await all_queues(with);
  if (!queues) co_return std::unexpected(queues.error());
  const auto cached =
      co_await engine::ask(with.store, engine::read_cache_stats{.project = with.project});
  if (!cached) co_return std::unexpected(cached.error());
  const auto sessions =
      co_await engine::ask(with.store, engine::list_sessions{.project = with.project, .limit = 1});
  if (!sessions) co_return std::unexpected(sessions.error());
  co_return stored_numbers{*now, std::move(*queues), *cached, sessions->count};
}

void append_stored_metrics(std::string& out, const stored_numbers& of) {
  append_queue_metrics(out, of.queues, of.now);
  fmt::format_to(std::back_inserter(out),
                 "# HELP millrace_sessions Sessions that have not ended.\n"
                 "# TYPE millrace_sessions gauge\nmillrace_sessions {}\n",
                 of.sessions);
}

void append_stream_metrics(std::string& out, const sse_hub::totals& of) {
  const auto add = [&out](std::string_view name, std::string_view kind, std::string_view help,
                          auto number) {
    fmt::format_to(std::back_inserter(out),
                   "# HELP millrace_streams_{0} {2}\n# TYPE millrace_streams_{0} {1}\n"
                   "millrace_streams_{0} {3}\n",
                   name, kind, help, number);
  };
  add("open", "gauge", "Clients that follow event streams.", of.open);
  add("events_sent_total", "counter", "Events handed to clients.", of.delivered);
  add("reads_total", "counter", "Looks at the store for them.", of.reads);
  add("slow_total", "counter", "Times a client did not take what there was in time.", of.slow);
  add("cut_total", "counter", "Clients cut off because they took nothing.", of.cut);
}

}  // namespace

awaitable<response> show_metrics(service& with, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  // What this process counts is of most use while the store is away.
  const auto stored = co_await read_stored(with);
  response answer{.content_type = metrics_type};
  fmt::format_to(std::back_inserter(answer.body),
                 "# HELP millrace_build_info What runs here.\n# TYPE millrace_build_info gauge\n"
                 "millrace_build_info{{version=\"{}\",engine=\"{}\"}} 1\n"
                 "# HELP millrace_uptime_seconds Since the server was made.\n"
                 "# TYPE millrace_uptime_seconds gauge\nmillrace_uptime_seconds {:.3f}\n"
                 "# HELP millrace_store_up Whether the store answers; what it would say is left "
                 "out otherwise.\n"
                 "# TYPE millrace_store_up gauge\nmillrace_store_up {}\n",
                 with.options.version, with.store.traits().engine, uptime_seconds(with),
                 stored ? 1 : 0);
  if (stored) append_stored_metrics(answer.body, *stored);
  const cache::cache_numbers numbers = with.cache.numbers();
  append_cache_metrics(answer.body, stored ? &stored->cached : nullptr, numbers);
  if (const auto* near = with.cache.near()) {
    append_near_metrics(answer.body, near->usage(), numbers.near_hits);
  }
  append_family_metrics(answer.body, with.cache.numbers_by_family());
  with.numbers.append_to(answer.body);
  append_limit_metrics(answer.body, with.limits.numbers());
  append_stream_metrics(answer.body, with.streams.numbers());
  co_return answer;
}

}  // namespace millrace::http
