#include "commands.hpp"
#include "confirm.hpp"
#include "json_view.hpp"
#include "json_writer.hpp"
#include "listing.hpp"
#include "people.hpp"
#include "server_call.hpp"
#include "table.hpp"

#include <millrace/base/names.hpp>
#include <millrace/base/text_time.hpp>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <istream>
#include <iterator>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace millrace::cli {
namespace {

std::string entry_target(const context& with) {
  return fmt::format("/v1/cache/{}", client::encode_segment(with.in.required("KEY")));
}

std::string with_query(std::string target, const std::vector<std::string>& query) {
  if (!query.empty()) target += fmt::format("?{}", fmt::join(query, "&"));
  return target;
}

// A key that is not there is an answer of its own, not a trouble with the server.
exit_code get_as_json(const context& with, server_call& server) {
  const std::string keys =
      fmt::format(R"({{"keys":[{}],"stale":{}}})", json_text(json::value(with.in.required("KEY"))),
                  with.in.has("--stale"));
  const auto answer = server.post("/v1/cache:mget", keys);
  if (!answer) return report_refusal(with, "cache get", answer.error());
  const auto body = body_of(*answer);
  if (!body) return report(with, body.error());
  const json::array& items = items_at(*body, "items");
  if (items.empty()) return report(with, body_of({}).error());
  with.around.out << json_text(items.front()) << '\n';
  return flag_at(items.front(), "found") ? exit_code::done : exit_code::not_found;
}

exit_code get(context& with) {
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "cache get", server.error());
  if (with.in.has("--json")) return get_as_json(with, **server);
  std::vector<std::string> query;
  if (with.in.has("--stale")) query.emplace_back("stale=true");
  const auto answer = (*server)->get(with_query(entry_target(with), query));
  if (!answer) return report_refusal(with, "cache get", answer.error());
  with.around.out << answer->body;
  // For a person's prompt; what reads the output gets the value as it is.
  if (with.around.out_is_terminal && !answer->body.ends_with('\n')) with.around.out << '\n';
  return exit_code::done;
}

std::string type_of(const std::string& value) {
  if (check_json(value)) return "application/json";
  return is_utf8(value) ? "text/plain; charset=utf-8" : "application/octet-stream";
}

result<std::vector<std::string>> put_query(const context& with) {
  std::vector<std::string> query;
  for (const auto& [name, parameter] :
       {std::pair{"--ttl", "ttl"}, std::pair{"--stale-for", "stale_for"}}) {
    const auto span = with.in.span(name);
    if (!span) return std::unexpected(span.error());
    if (*span) query.push_back(fmt::format("{}={}", parameter, format_duration(**span)));
  }
  for (const std::string& tag : with.in.texts("--tag")) {
    query.push_back("tag=" + client::encode_segment(tag));
  }
  if (const auto lease = with.in.text("--lease")) {
    query.push_back("lease=" + client::encode_segment(*lease));
  }
  return query;
}

exit_code set(context& with) {
  const auto query = put_query(with);
  if (!query) return report_usage(with, "cache set", query.error());
  const auto version = with.in.integer("--if-version", 1, (std::int64_t{1} << 53U) - 1);
  if (!version) return report_usage(with, "cache set", version.error());
  client::request what{.method = client::verb::put,
                       .target = with_query(entry_target(with), *query)};
  what.body = with.in.required("VALUE");
  if (what.body == "-") {
    what.body.assign(std::istreambuf_iterator<char>(with.around.in), {});
  }
  what.headers.push_back(
      {"Content-Type", with.in.text("--content-type").value_or(type_of(what.body))});
  if (*version) what.headers.push_back({"If-Match", fmt::format("\"{}\"", **version)});
  if (with.in.has("--if-absent")) what.headers.push_back({"If-None-Match", "*"});
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "cache set", server.error());
  const auto answer = (*server)->call(std::move(what));
  if (!answer) return report_refusal(with, "cache set", answer.error());
  if (with.in.has("--json")) {
    with.around.out << answer->body << '\n';
    return exit_code::done;
  }
  const auto body = body_of(*answer);
  if (!body) return report(with, body.error());
  with.around.out << fmt::format("{} version {}, expires {}\n", printable(with.in.required("KEY")),
                                 count_at(*body, "version"), text_at(*body, "expires_at"));
  return exit_code::done;
}

exit_code print_count(const context& with, const result<client::response>& answer,
                      std::string_view command) {
  if (!answer) return report_refusal(with, command, answer.error());
  const auto body = body_of(*answer);
  if (!body) return report(with, body.error());
  if (with.in.has("--json")) {
    with.around.out << answer->body << '\n';
  } else if (member(*body, "invalidated_tags") != nullptr) {
    with.around.out << "invalidated\n";
  } else {
    with.around.out << fmt::format("{} deleted\n", grouped(count_at(*body, "deleted")));
  }
  return exit_code::done;
}

exit_code remove(context& with) {
  const std::vector<std::string> keys = with.in.texts("KEY");
  const auto pattern = with.in.text("--pattern");
  const std::vector<std::string> tags = with.in.texts("--tag");
  const int ways = (keys.empty() ? 0 : 1) + (pattern ? 1 : 0) + (tags.empty() ? 0 : 1);
  if (ways != 1) {
    const auto wrong = invalid("", "say one of: keys, --pattern, --tag");
    return report_usage(with, "cache del", wrong.error());
  }
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "cache del", server.error());
  if (!keys.empty()) {
    json::array list;
    for (const std::string& key : keys) list.emplace_back(key);
    const std::string body = json_text(json::object{{"keys", std::move(list)}});
    return print_count(with, (*server)->post("/v1/cache:mdelete", body), "cache del");
  }
  std::vector<std::string> query;
  if (pattern) query.push_back("pattern=" + client::encode_segment(*pattern));
  for (const std::string& tag : tags) query.push_back("tag=" + client::encode_segment(tag));
  return print_count(with, (*server)->remove(with_query("/v1/cache", query)), "cache del");
}

exit_code list(context& with) {
  std::vector<std::string> query;
  if (const auto pattern = with.in.text("PATTERN")) {
    query.push_back("pattern=" + client::encode_segment(*pattern));
  }
  const auto target = listing_target(with, "/v1/cache", std::move(query));
  if (!target) return report_usage(with, "cache ls", target.error());
  return show_answer(with, "cache ls", *target, [&with](const json::value& body) {
    table shown{{{"BYTES", align::right}, {"KEY"}}};
    for (const json::value& one : items_at(body, "keys")) {
      shown.add({grouped(count_at(one, "bytes")), text_at(one, "key")});
    }
    if (shown.empty()) {
      with.around.err << "Nothing is cached under such a key.\n";
      return;
    }
    shown.print(with.around.out, with.around.out_is_terminal ? with.around.columns : 0);
  });
}

std::string percent(const json::value& of, std::string_view path) {
  return fmt::format("{:.1f} %", 100 * number_at(of, path).value_or(0));
}

std::string span_of(const json::value& of, std::string_view path) {
  const auto seconds = std::chrono::duration<double>(number_at(of, path).value_or(0));
  return readable_span(std::chrono::duration_cast<duration>(seconds));
}

exit_code stats(context& with) {
  return show_answer(with, "cache stats", "/admin/cache/stats", [&with](const json::value& body) {
    const auto print = [&with](std::string_view name, const std::string& text) {
      with.around.out << fmt::format("{:<12} {}\n", name, text);
    };
    print("entries", grouped(count_at(body, "entries")));
    print("bytes", fmt::format("{} of {}", grouped(count_at(body, "bytes")),
                               grouped(count_at(body, "bytes_max"))));
    print("hit rate", percent(body, "hit_rate"));
    for (const char* name : {"hits", "stale", "misses", "puts", "evicted", "expired", "claims"}) {
      print(name, grouped(count_at(body, name)));
    }
    print("average ttl", span_of(body, "average_ttl"));
  });
}

exit_code top(context& with) {
  return show_answer(with, "cache top", "/admin/cache/stats", [&with](const json::value& body) {
    table shown{{{"READS", align::right}, {"KEY"}}};
    for (const json::value& one : items_at(body, "top")) {
      shown.add({grouped(count_at(one, "reads")), text_at(one, "key")});
    }
    if (shown.empty()) {
      with.around.err << "Nothing has been read since the server was started.\n";
      return;
    }
    shown.print(with.around.out, with.around.out_is_terminal ? with.around.columns : 0);
  });
}

exit_code clear(context& with) {
  if (!confirmed(with, "Clear the whole cache?")) return exit_code::failed;
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "cache clear", server.error());
  return print_count(with, (*server)->remove("/admin/cache/clear"), "cache clear");
}

const argument key_argument{.name = "KEY", .purpose = "1 to 512 bytes: user:7"};

std::vector<option> set_options() {
  return with_reading_options(
      {{.name = "--ttl",
        .value = "SPAN",
        .purpose = "how long it is kept: 500ms, 5m, 24h (default: the server's, an hour)"},
       {.name = "--stale-for",
        .value = "SPAN",
        .purpose = "how long after that it may still be read with --stale (default: not)"},
       {.name = "--tag",
        .value = "TAG",
        .purpose = "what it goes with; up to 16, for `cache del --tag`",
        .repeated = true},
       {.name = "--content-type",
        .value = "TYPE",
        .purpose = "what it is (default: JSON, text or bytes, as it looks)"},
       {.name = "--if-absent", .purpose = "only where there is nothing"},
       {.name = "--if-version", .value = "N", .purpose = "only over this version"},
       {.name = "--lease", .value = "LEASE", .purpose = "of the claim that this fills"}});
}

std::vector<command> entry_commands() {
  return {
      {.name = "cache get",
       .purpose = "Print a cached value.",
       .arguments = {key_argument},
       .options = with_reading_options(
           {{.name = "--stale", .purpose = "also one that has expired but may be served stale"}}),
       .examples = {"millrace cache get user:7", "millrace cache get user:7 --json"},
       .run = get,
       .notes = "The bytes as they were put; it ends with 3 where there is nothing.\n"
                "With --json also the version, the type and the times."},
      {.name = "cache set",
       .purpose = "Cache a value.",
       .arguments = {key_argument,
                     {.name = "VALUE", .purpose = "the value; - reads it from the standard input"}},
       .options = set_options(),
       .examples = {"millrace cache set user:7 '{\"name\":\"Ann\"}' --ttl 15m --tag users",
                    "millrace cache set page:home - --content-type text/html"},
       .run = set},
      {.name = "cache del",
       .purpose = "Forget keys, all that fit a pattern, or all with a tag.",
       .arguments = {{.name = "KEY", .purpose = "the keys", .required = false, .repeated = true}},
       .options = with_reading_options(
           {{.name = "--pattern",
             .value = "GLOB",
             .purpose = "all keys that fit: * any text, ? one character, [a-z] one of these"},
            {.name = "--tag",
             .value = "TAG",
             .purpose = "all that was put with the tag, in no time however much that is",
             .repeated = true}}),
       .examples = {"millrace cache del user:7 user:8", "millrace cache del --pattern 'vector:7:*'",
                    "millrace cache del --tag users"},
       .run = remove},
  };
}

}  // namespace

std::vector<command> cache_commands() {
  std::vector<command> all = entry_commands();
  all.push_back(
      {.name = "cache ls",
       .purpose = "List cached keys and what they take.",
       .arguments = {{.name = "PATTERN", .purpose = "a glob (default: all)", .required = false}},
       .options = with_listing_options({}),
       .examples = {"millrace cache ls", "millrace cache ls 'user:*' --limit 10"},
       .run = list});
  all.push_back({.name = "cache stats",
                 .purpose = "Show what the cache holds and its hit rate.",
                 .options = with_reading_options({}),
                 .examples = {"millrace cache stats"},
                 .run = stats});
  all.push_back({.name = "cache top",
                 .purpose = "Show the keys that are read most often.",
                 .options = with_reading_options({}),
                 .examples = {"millrace cache top"},
                 .run = top});
  all.push_back({.name = "cache clear",
                 .purpose = "Forget everything that is cached.",
                 .options = with_reading_options({yes_option()}),
                 .examples = {"millrace cache clear --yes"},
                 .run = clear});
  return all;
}

}  // namespace millrace::cli
