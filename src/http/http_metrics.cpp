#include "http_metrics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace millrace::http {

http_metrics::http_metrics(std::span<const route> table)
    : table_(table), counters_(std::make_unique<counters[]>(table.size() + 1)) {}

void http_metrics::record(std::size_t route_index, unsigned status,
                          std::chrono::steady_clock::duration took) noexcept {
  counters& of = counters_[std::min(route_index, table_.size())];
  const auto place = std::ranges::find(statuses.begin(), statuses.end() - 1, status);
  const std::int64_t micros = std::chrono::duration_cast<std::chrono::microseconds>(took).count();
  const auto bucket = std::ranges::lower_bound(bounds_us, micros);
  constexpr auto relaxed = std::memory_order_relaxed;
  of.by_status[static_cast<std::size_t>(place - statuses.begin())].fetch_add(1, relaxed);
  of.by_time[static_cast<std::size_t>(bucket - bounds_us.begin())].fetch_add(1, relaxed);
  of.total_us.fetch_add(static_cast<std::uint64_t>(std::max<std::int64_t>(micros, 0)), relaxed);
}

void http_metrics::append_to(std::string& out) const {
  append_requests(out);
  append_times(out);
  fmt::format_to(std::back_inserter(out),
                 "# HELP millrace_http_connections Open connections.\n"
                 "# TYPE millrace_http_connections gauge\n"
                 "millrace_http_connections {}\n"
                 "# HELP millrace_http_connections_refused_total Connections beyond the bound.\n"
                 "# TYPE millrace_http_connections_refused_total counter\n"
                 "millrace_http_connections_refused_total {}\n",
                 open_connections.load(std::memory_order_relaxed),
                 refused_connections.load(std::memory_order_relaxed));
}

void http_metrics::append_requests(std::string& out) const {
  out +=
      "# HELP millrace_http_requests_total Answered requests.\n"
      "# TYPE millrace_http_requests_total counter\n";
  for (std::size_t i = 0; i <= table_.size(); ++i) {
    for (std::size_t s = 0; s < statuses.size(); ++s) {
      const std::uint64_t count = counters_[i].by_status[s].load(std::memory_order_relaxed);
      if (count == 0) continue;
      fmt::format_to(
          std::back_inserter(out),
          "millrace_http_requests_total{{method=\"{}\",route=\"{}\",status=\"{}\"}} {}\n",
          method_of(i), name_of(i), statuses[s], count);
    }
  }
}

void http_metrics::append_times(std::string& out) const {
  out +=
      "# HELP millrace_http_request_seconds From the end of the header to the end of the answer.\n"
      "# TYPE millrace_http_request_seconds histogram\n";
  const auto at = std::back_inserter(out);
  for (std::size_t i = 0; i <= table_.size(); ++i) {
    std::uint64_t sum = 0;
    for (const auto& bucket : counters_[i].by_time) sum += bucket.load(std::memory_order_relaxed);
    if (sum == 0) continue;
    std::uint64_t so_far = 0;
    for (std::size_t b = 0; b <= bounds_us.size(); ++b) {
      so_far += counters_[i].by_time[b].load(std::memory_order_relaxed);
      const std::string bound = b < bounds_us.size()
                                    ? fmt::format("{}", static_cast<double>(bounds_us[b]) / 1e6)
                                    : "+Inf";
      fmt::format_to(at,
                     "millrace_http_request_seconds_bucket{{method=\"{}\",route=\"{}\",le=\"{}\"}} "
                     "{}\n",
                     method_of(i), name_of(i), bound, so_far);
    }
    const auto total = static_cast<double>(counters_[i].total_us.load(std::memory_order_relaxed));
    fmt::format_to(at,
                   "millrace_http_request_seconds_sum{{method=\"{0}\",route=\"{1}\"}} {2}\n"
                   "millrace_http_request_seconds_count{{method=\"{0}\",route=\"{1}\"}} {3}\n",
                   method_of(i), name_of(i), total / 1e6, so_far);
  }
}

std::string_view http_metrics::name_of(std::size_t route_index) const noexcept {
  return route_index < table_.size() ? table_[route_index].pattern : std::string_view{"-"};
}

std::string_view http_metrics::method_of(std::size_t route_index) const noexcept {
  return route_index < table_.size() ? to_string(table_[route_index].verb) : std::string_view{"-"};
}

void append_label_value(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
}

}  // namespace millrace::http
