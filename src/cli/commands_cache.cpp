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
#include <millrace/cache/parse_life.hpp>

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

result<std::optional<duration>> read_life(const context& with, std::string_view name) {
  const auto text = with.in.text(name);
  if (!text) return std::optional<duration>{};
  const auto life = cache::parse_life(*text, name);
  if (!life) return std::unexpected(life.error());
  return std::optional{*life};
}

result<std::vector<std::string>> put_query(const context& with) {
  std::vector<std::string> query;
  for (const auto& [name, parameter] :
       {std::pair{"--ttl", "ttl"}, std::pair{"--stale-for", "stale_for"}}) {
    const auto span = read_life(with, name);
    if (!span) return std::unexpected(span.error());
    if (*span) query.push_back(fmt::format("{}={}", parameter, format_duration(**span)));
  }
  for (const std::string& tag : with.in.texts("--tag")) {
    query.push_back("tag=" + client::encode_segment(tag));
  }
  if (const auto lease = with.in.text("--lease")) {
    query.push_back("lease=" + client::encode_segment(*lease));
  }
  if (with.in.has("--nothing")) query.emplace_back("nothing=true");
  return query;
}

// The value and its type; none where it is kept that there is nothing.
result<void> add_value(const context& with, client::request& into) {
  const auto value = with.in.text("VALUE");
  if (with.in.has("--nothing")) {
    if (!value) return {};
    return invalid("--nothing", "with --nothing no value is given");
  }
  if (!value) return invalid("VALUE", "what is to be cached is missing; - reads it");
  into.body = *value;
  if (into.body == "-") into.body.assign(std::istreambuf_iterator<char>(with.around.in), {});
  into.headers.push_back(
      {"Content-Type", with.in.text("--content-type").value_or(type_of(into.body))});
  return {};
}

exit_code set(context& with) {
  const auto query = put_query(with);
  if (!query) return report_usage(with, "cache set", query.error());
  const auto version = with.in.integer("--if-version", 1, (std::int64_t{1} << 53U) - 1);
  if (!version) return report_usage(with, "cache set", version.error());
  client::request what{.method = client::verb::put,
                       .target = with_query(entry_target(with), *query)};
  if (auto read = add_value(with, what); !read) {
    return report_usage(with, "cache set", read.error());
  }
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
  } else if (member(*body, "invalidated_tags") != nullptr && member(*body, "deleted") != nullptr) {
    with.around.out << fmt::format("{} deleted, {} tags invalidated\n",
                                   grouped(count_at(*body, "deleted")),
                                   grouped(count_at(*body, "invalidated_tags")));
  } else if (member(*body, "invalidated_tags") != nullptr) {
    with.around.out << "invalidated\n";
  } else {
    with.around.out << fmt::format("{} deleted\n", grouped(count_at(*body, "deleted")));
  }
  return exit_code::done;
}

// `--part bot_id=7`, as it goes with a rule.
result<std::vector<std::string>> part_query(const context& with) {
  std::vector<std::string> query;
  for (const std::string& part : with.in.texts("--part")) {
    const std::size_t equals = part.find('=');
    if (equals == std::string::npos || equals == 0) {
      return invalid("--part", "a part is NAME=VALUE, as in bot_id=7");
    }
    query.push_back(fmt::format("part.{}={}", client::encode_segment(part.substr(0, equals)),
                                client::encode_segment(part.substr(equals + 1))));
  }
  if (!query.empty() && !with.in.has("--rule")) {
    return invalid("--part", "parts go with --rule");
  }
  return query;
}

exit_code remove(context& with) {
  const std::vector<std::string> keys = with.in.texts("KEY");
  const auto pattern = with.in.text("--pattern");
  const std::vector<std::string> tags = with.in.texts("--tag");
  const auto rule = with.in.text("--rule");
  const int ways =
      (keys.empty() ? 0 : 1) + (pattern ? 1 : 0) + (tags.empty() ? 0 : 1) + (rule ? 1 : 0);
  if (ways != 1) {
    const auto wrong = invalid("", "say one of: keys, --pattern, --tag, --rule");
    return report_usage(with, "cache del", wrong.error());
  }
  const auto parts = part_query(with);
  if (!parts) return report_usage(with, "cache del", parts.error());
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
  if (rule) query.push_back("rule=" + client::encode_segment(*rule));
  query.insert(query.end(), parts->begin(), parts->end());
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
       {.name = "--lease", .value = "LEASE", .purpose = "of the claim that this fills"},
       {.name = "--nothing",
        .purpose = "in place of VALUE: there is none, and nobody has to look again (default: for "
                   "the family's negative_ttl)"}});
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
                     {.name = "VALUE",
                      .purpose = "the value; - reads it from the standard input",
                      .required = false}},
       .options = set_options(),
       .examples = {"millrace cache set user:7 '{\"name\":\"Ann\"}' --ttl 15m --tag users",
                    "millrace cache set page:home - --content-type text/html"},
       .run = set},
      {.name = "cache del",
       .purpose = "Forget keys, all that fit a pattern or have a tag, or what a rule says.",
       .arguments = {{.name = "KEY", .purpose = "the keys", .required = false, .repeated = true}},
       .options = with_reading_options(
           {{.name = "--pattern",
             .value = "GLOB",
             .purpose = "all keys that fit: * any text, ? one character, [a-z] one of these"},
            {.name = "--tag",
             .value = "TAG",
             .purpose = "all that was put with the tag, in no time however much that is",
             .repeated = true},
            {.name = "--rule",
             .value = "NAME",
             .purpose = "what the configuration says of this change; see `cache families`"},
            {.name = "--part",
             .value = "NAME=VALUE",
             .purpose = "a part of the rule's keys: bot_id=7",
             .repeated = true}}),
       .examples = {"millrace cache del user:7 user:8", "millrace cache del --pattern 'vector:7:*'",
                    "millrace cache del --tag users",
                    "millrace cache del --rule bot --part bot_id=7 --part user_id=42"},
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
  all.push_back({.name = "cache clear",
                 .purpose = "Forget everything that is cached.",
                 .options = with_reading_options({yes_option()}),
                 .examples = {"millrace cache clear --yes"},
                 .run = clear});
  return all;
}

}  // namespace millrace::cli
