#include "http_metrics.hpp"
#include "message.hpp"

#include <millrace/base/json.hpp>
#include <millrace/base/text_time.hpp>
#include <millrace/http/cache_codec.hpp>
#include <millrace/http/job_codec.hpp>

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <iterator>
#include <optional>
#include <span>
#include <string_view>

/// What the cache counts, as JSON and for Prometheus; and what families say.
namespace millrace::http {
namespace {

void append_seconds(std::string& out, std::string_view member, duration span) {
  out += member;
  append_number(out, to_seconds(span));
}

void append_texts(std::string& out, std::string_view member,
                  const std::vector<std::string>& texts) {
  out += member;
  out += '[';
  for (const std::string& text : texts) {
    if (&text != &texts.front()) out += ',';
    append_json_string(out, text);
  }
  out += ']';
}

struct metric {
  std::string_view name;
  std::string_view type;
  std::string_view help;
  std::uint64_t value;
};

void append_metrics(std::string& out, std::string_view of, std::span<const metric> metrics) {
  for (const metric& each : metrics) {
    fmt::format_to(std::back_inserter(out),
                   "# HELP millrace_{0}_{1} {2}\n# TYPE millrace_{0}_{1} {3}\n"
                   "millrace_{0}_{1} {4}\n",
                   of, each.name, each.help, each.type, each.value);
  }
}

}  // namespace

double hit_rate(const cache::cache_numbers& of) noexcept {
  const auto found = static_cast<double>(of.hits + of.stale);
  const double all = found + static_cast<double>(of.misses);
  return all > 0 ? found / all : 0;
}

void append_cache_metrics(std::string& out, const engine::read_cache_stats::numbers* of_store,
                          const cache::cache_numbers& of_process) {
  if (of_store != nullptr) {
    const std::array metrics{
        metric{"entries", "gauge", "Entries in the cache.", of_store->entries},
        metric{"bytes", "gauge", "What they count against the quota.", of_store->bytes},
        metric{"bytes_max", "gauge", "The quota.", of_store->bytes_max},
        metric{"claims", "gauge", "Keys that are being filled.", of_store->claims},
        metric{"evictions_total", "counter", "Entries that had to go to make room.",
               of_store->evicted},
        metric{"expired_total", "counter", "Entries whose time was over.", of_store->expired},
    };
    append_metrics(out, "cache", metrics);
  }
  const std::array metrics{
      metric{"hits_total", "counter", "Reads that found a fresh value.", of_process.hits},
      metric{"stale_total", "counter", "Reads that found a stale value.", of_process.stale},
      metric{"misses_total", "counter", "Reads that found nothing.", of_process.misses},
      metric{"puts_total", "counter", "Values that were put.", of_process.puts},
      metric{"undecodable_total", "counter", "Entries that could not be read.",
             of_process.undecodable},
  };
  append_metrics(out, "cache", metrics);
}

void append_near_metrics(std::string& out, const cache::local_cache_usage& near,
                         std::uint64_t hits) {
  const std::array metrics{
      metric{"entries", "gauge", "Entries in the memory of this server.", near.entries},
      metric{"bytes", "gauge", "What they take there.", near.bytes},
      metric{"bytes_max", "gauge", "What they may take.", near.bytes_max},
      metric{"hits_total", "counter", "Reads that were answered from there.", hits},
      metric{"evictions_total", "counter", "Entries that had to go there to make room.",
             near.evictions},
  };
  append_metrics(out, "cache_near", metrics);
}

void append_family_metrics(std::string& out, const std::vector<cache::family_numbers>& of) {
  using cache::family_figures;
  using cache::family_numbers;
  struct by_family {
    std::string_view name;
    std::string_view help;
    double (*value)(const family_numbers&);
  };
  static constexpr auto count = [](std::uint64_t number) { return static_cast<double>(number); };
  static constexpr std::array metrics{
      by_family{"hits_total", "Reads that found a value, by family; - for keys of none.",
                [](const family_numbers& one) { return count(one.figures.hits); }},
      by_family{"stale_total", "Of these: stale ones.",
                [](const family_numbers& one) { return count(one.figures.stale); }},
      by_family{"misses_total", "Reads that found nothing.",
                [](const family_numbers& one) { return count(one.figures.misses); }},
      by_family{"puts_total", "Values that were put.",
                [](const family_numbers& one) { return count(one.figures.stored); }},
      by_family{"put_bytes_total", "Their bytes, before they were compressed or encrypted.",
                [](const family_numbers& one) { return count(one.figures.stored_bytes); }},
      by_family{"loads_total", "Claims that were filled.",
                [](const family_numbers& one) { return count(one.figures.loads); }},
      by_family{"load_seconds_total", "How long loading took, together.",
                [](const family_numbers& one) { return to_seconds(one.figures.load_time); }},
      by_family{"undecodable_total", "Entries that could not be read.",
                [](const family_numbers& one) { return count(one.figures.undecodable); }},
      by_family{"evictions_total", "Entries that had to go from the store to make room for puts.",
                [](const family_numbers& one) { return count(one.figures.evictions); }},
      by_family{"near_evictions_total", "Entries that had to go near to make room.",
                [](const family_numbers& one) { return count(one.near.evictions); }},
  };
  for (const by_family& each : metrics) {
    if (of.empty()) return;
    fmt::format_to(std::back_inserter(out),
                   "# HELP millrace_cache_family_{0} {1}\n# TYPE millrace_cache_family_{0} "
                   "counter\n",
                   each.name, each.help);
    for (const family_numbers& one : of) {
      fmt::format_to(std::back_inserter(out), "millrace_cache_family_{}{{family=\"{}\"}} ",
                     each.name, one.name.empty() ? "-" : one.name);
      append_number(out, each.value(one));
      out += '\n';
    }
  }
}

void append_open_cache_numbers(std::string& out, const engine::read_cache_stats::numbers* of_store,
                               const cache::cache_numbers& of_process) {
  const auto at = std::back_inserter(out);
  if (of_store == nullptr) {
    out += R"({"entries":null,"bytes":null,"bytes_max":null,"claims":null,"evicted":null,)"
           R"("expired":null)";
  } else {
    fmt::format_to(at,
                   R"({{"entries":{},"bytes":{},"bytes_max":{},"claims":{},"evicted":{},)"
                   R"("expired":{})",
                   of_store->entries, of_store->bytes, of_store->bytes_max, of_store->claims,
                   of_store->evicted, of_store->expired);
  }
  fmt::format_to(at,
                 R"(,"hits":{},"stale":{},"misses":{},"hit_rate":{:.4f},"near_hits":{},"puts":{},)"
                 R"("loads":{},"failed_loads":{},"undecodable":{})",
                 of_process.hits, of_process.stale, of_process.misses, hit_rate(of_process),
                 of_process.near_hits, of_process.puts, of_process.loads, of_process.failed_loads,
                 of_process.undecodable);
  append_seconds(out, R"(,"average_ttl":)", of_process.average_ttl);
  append_seconds(out, R"(,"average_load":)", of_process.average_load);
  out += R"(,"top":[)";
  for (const auto& each : of_process.top) {
    if (&each != &of_process.top.front()) out += ',';
    out += R"({"key":)";
    append_json_string(out, each.key);
    fmt::format_to(at, R"(,"reads":{},"misses":{},"family":)", each.reads, each.misses);
    if (each.family.empty()) {
      out += "null}";
    } else {
      append_json_string(out, each.family);
      out += '}';
    }
  }
  out += ']';
}

void append_near_usage(std::string& out, const cache::local_cache_usage& near) {
  fmt::format_to(std::back_inserter(out),
                 R"({{"entries":{},"bytes":{},"bytes_max":{},"evictions":{}}})", near.entries,
                 near.bytes, near.bytes_max, near.evictions);
}

void append_family_numbers(std::string& out, const cache::family_numbers& of,
                           const std::optional<family_count>& held) {
  const auto at = std::back_inserter(out);
  out += R"({"family":)";
  if (of.name.empty()) {
    out += "null";
  } else {
    append_json_string(out, of.name);
  }
  const cache::family_figures& figures = of.figures;
  fmt::format_to(at, R"(,"hits":{},"stale":{},"misses":{},"hit_rate":{:.4f})",
                 figures.hits - std::min(figures.hits, figures.stale), figures.stale,
                 figures.misses, figures.hit_rate());
  fmt::format_to(at,
                 R"(,"loads":{},"failed_loads":{},"puts":{},"put_bytes":{},"undecodable":{})"
                 R"(,"evicted":{})",
                 figures.loads, figures.failed_loads, figures.stored, figures.stored_bytes,
                 figures.undecodable, figures.evictions);
  append_seconds(out, R"(,"average_ttl":)", figures.average_ttl());
  append_seconds(out, R"(,"average_load":)", figures.average_load_time());
  if (held) {
    fmt::format_to(at, R"(,"entries":{},"bytes":{})", held->entries, held->bytes);
  } else {
    out += R"(,"entries":null,"bytes":null)";
  }
  fmt::format_to(at, R"(,"near_entries":{},"near_bytes":{},"near_evictions":{}}})", of.near.entries,
                 of.near.bytes, of.near.evictions);
}

void append_family(std::string& out, const cache::family_spec& of, duration default_ttl) {
  const auto at = std::back_inserter(out);
  out += R"({"family":)";
  append_json_string(out, of.name);
  out += R"(,"pattern":)";
  append_json_string(out, of.pattern);
  append_seconds(out, R"(,"ttl":)", of.ttl.value_or(default_ttl));
  out += R"(,"jitter":)";
  append_number(out, of.jitter);
  append_texts(out, R"(,"tags":)", of.tags);
  out += R"(,"compress_above":)";
  out += of.compress_above ? fmt::format("{}", *of.compress_above) : "null";
  fmt::format_to(at, R"(,"encrypt":{},"local":{},"warm":{})", of.encrypt, of.local, of.warm);
  append_seconds(out, R"(,"stale_while_revalidate":)", of.stale_while_revalidate);
  append_seconds(out, R"(,"stale_if_error":)", of.stale_if_error);
  out += R"(,"negative_ttl":)";
  if (of.negative_ttl) {
    append_number(out, to_seconds(*of.negative_ttl));
  } else {
    out += "null";
  }
  fmt::format_to(at, R"(,"outage":"{}")", cache::to_string(of.outage));
  append_seconds(out, R"(,"outage_for":)", of.outage_for);
  out += R"(,"adaptive":)";
  if (!of.adaptive) {
    out += "null}";
    return;
  }
  out += '[';
  for (const auto& step : of.adaptive->steps) {
    fmt::format_to(at, R"({{"above":{})", step.above);
    append_seconds(out, R"(,"ttl":)", step.ttl);
    out += "},";
  }
  append_seconds(out, R"({"above":0,"ttl":)", of.adaptive->otherwise);
  out += "}]}";
}

}  // namespace millrace::http
