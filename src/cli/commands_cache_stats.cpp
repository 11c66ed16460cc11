#include "commands.hpp"
#include "json_view.hpp"
#include "listing.hpp"
#include "people.hpp"
#include "server_call.hpp"
#include "table.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::cli {
namespace {

std::string percent(const json::value& of, std::string_view path) {
  return fmt::format("{:.1f} %", 100 * number_at(of, path).value_or(0));
}

std::string span_of(const json::value& of, std::string_view path) {
  const auto seconds = std::chrono::duration<double>(number_at(of, path).value_or(0));
  return readable_span(std::chrono::duration_cast<duration>(seconds));
}

std::string stats_target(const context& with) {
  const auto family = with.in.text("--family");
  if (!family) return "/admin/cache/stats";
  return "/admin/cache/stats?family=" + client::encode_segment(*family);
}

void print_table(const context& with, table& shown) {
  shown.print(with.around.out, with.around.out_is_terminal ? with.around.columns : 0);
}

void print_families(const context& with, const json::value& body) {
  table shown{{{"FAMILY"},
               {"HIT RATE", align::right},
               {"HITS", align::right},
               {"STALE", align::right},
               {"MISSES", align::right},
               {"LOADS", align::right},
               {"LOAD TIME", align::right},
               {"ENTRIES", align::right},
               {"BYTES", align::right},
               {"EVICTED", align::right},
               {"TTL", align::right}}};
  for (const json::value& one : items_at(body, "families")) {
    const std::string name = text_at(one, "family");
    shown.add({name.empty() ? "-" : name, percent(one, "hit_rate"), grouped(count_at(one, "hits")),
               grouped(count_at(one, "stale")), grouped(count_at(one, "misses")),
               grouped(count_at(one, "loads")), span_of(one, "average_load"),
               grouped(count_at(one, "entries")), grouped(count_at(one, "bytes")),
               grouped(count_at(one, "evicted")), span_of(one, "average_ttl")});
  }
  if (shown.empty()) return;
  with.around.out << '\n';
  print_table(with, shown);
  if (flag_at(body, "families_estimated")) {
    with.around.err << "Entries and bytes of families are estimated: there are many.\n";
  }
}

exit_code stats(context& with) {
  const auto show = [&with](const json::value& body) {
    const auto print = [&with](std::string_view name, const std::string& text) {
      with.around.out << fmt::format("{:<12} {}\n", name, text);
    };
    if (const json::value* why = member(body, "error")) {
      print("store", fmt::format("away: {}", printable(text_at(*why, "detail"))));
    } else {
      print("entries", grouped(count_at(body, "entries")));
      print("bytes", fmt::format("{} of {}", grouped(count_at(body, "bytes")),
                                 grouped(count_at(body, "bytes_max"))));
    }
    print("hit rate", percent(body, "hit_rate"));
    for (const char* name :
         {"hits", "stale", "misses", "puts", "evicted", "expired", "claims", "undecodable"}) {
      // What the store alone knows is null while it is away.
      const json::value* number = member(body, name);
      if (number != nullptr && !number->is_null()) print(name, grouped(count_at(body, name)));
    }
    print("average ttl", span_of(body, "average_ttl"));
    if (count_at(body, "loads") > 0) {
      print("loads", fmt::format("{}, {} each", grouped(count_at(body, "loads")),
                                 span_of(body, "average_load")));
    }
    if (const json::value* near = member(body, "near"); near != nullptr && near->is_object()) {
      print("near",
            fmt::format("{} entries, {} of {} bytes, {} hits, {} evicted",
                        grouped(count_at(*near, "entries")), grouped(count_at(*near, "bytes")),
                        grouped(count_at(*near, "bytes_max")), grouped(count_at(body, "near_hits")),
                        grouped(count_at(*near, "evictions"))));
    }
    print_families(with, body);
  };
  return show_answer(with, "cache stats", stats_target(with), show);
}

exit_code top(context& with) {
  return show_answer(with, "cache top", stats_target(with), [&with](const json::value& body) {
    const bool declared = !items_at(body, "families").empty();
    std::vector<column> columns{{"READS", align::right}, {"MISSES", align::right}, {"KEY"}};
    if (declared) columns.insert(columns.begin() + 2, column{"FAMILY"});
    table shown{std::move(columns)};
    for (const json::value& one : items_at(body, "top")) {
      std::vector<std::string> row{grouped(count_at(one, "reads")),
                                   grouped(count_at(one, "misses")), text_at(one, "key")};
      const std::string family = text_at(one, "family");
      if (declared) row.insert(row.begin() + 2, family.empty() ? "-" : family);
      shown.add(std::move(row));
    }
    if (shown.empty()) {
      with.around.err << "Nothing has been read since the server was started.\n";
      return;
    }
    print_table(with, shown);
  });
}

std::string joined(const json::array& texts) {
  std::vector<std::string> all;
  for (const json::value& one : texts) {
    if (const json::string* text = one.if_string()) {
      all.push_back(printable(std::string_view{text->data(), text->size()}));
    }
  }
  return fmt::format("{}", fmt::join(all, ", "));
}

// What is not as in every family, in a few words.
std::string notes_of(const json::value& family) {
  std::vector<std::string> notes;
  if (flag_at(family, "encrypt")) notes.emplace_back("encrypted");
  const auto above = number_at(family, "compress_above");
  if (above) notes.push_back(fmt::format("compressed from {:.0f} B", *above));
  for (const auto& [member, name] : {std::pair{"stale_while_revalidate", "stale while renewed"},
                                     std::pair{"stale_if_error", "stale if error"}}) {
    if (number_at(family, member).value_or(0) > 0) {
      notes.push_back(fmt::format("{} {}", name, span_of(family, member)));
    }
  }
  if (number_at(family, "negative_ttl").value_or(0) > 0) {
    notes.push_back(fmt::format("nothing kept {}", span_of(family, "negative_ttl")));
  }
  if (!items_at(family, "adaptive").empty()) notes.emplace_back("ttl by use");
  const std::string outage = text_at(family, "outage");
  if (outage != "bypass") notes.push_back("outage: " + outage);
  if (!flag_at(family, "local")) notes.emplace_back("not near");
  if (number_at(family, "warm").value_or(0) > 0) {
    notes.push_back(fmt::format("warms {}", count_at(family, "warm")));
  }
  return fmt::format("{}", fmt::join(notes, ", "));
}

exit_code families(context& with) {
  const auto show = [&with](const json::value& body) {
    table shown{{{"FAMILY"}, {"TTL", align::right}, {"PATTERN"}, {"TAGS"}, {"NOTES"}}};
    for (const json::value& one : items_at(body, "families")) {
      shown.add({text_at(one, "family"), span_of(one, "ttl"), text_at(one, "pattern"),
                 joined(items_at(one, "tags")), notes_of(one)});
    }
    if (shown.empty()) {
      with.around.err << "No family is declared: see [cache.families.NAME] in docs/cache.md.\n";
      return;
    }
    print_table(with, shown);
    table rules{{{"RULE"}, {"REMOVES"}}};
    for (const json::value& one : items_at(body, "rules")) {
      rules.add({text_at(one, "rule"), joined(items_at(one, "removes"))});
    }
    if (rules.empty()) return;
    with.around.out << '\n';
    print_table(with, rules);
  };
  return show_answer(with, "cache families", "/admin/cache/families", show);
}

std::vector<option> one_family() {
  return with_reading_options(
      {{.name = "--family", .value = "NAME", .purpose = "of this family alone (default: of all)"}});
}

}  // namespace

std::vector<command> cache_number_commands() {
  return {
      {.name = "cache stats",
       .purpose = "Show what the cache holds and its hit rate, by family too.",
       .options = one_family(),
       .examples = {"millrace cache stats", "millrace cache stats --family user"},
       .run = stats,
       .notes = "What the store holds, and what this server has counted since its start.\n"
                "Families are those of the server's configuration; - are keys of none."},
      {.name = "cache top",
       .purpose = "Show the keys that are read most often.",
       .options = one_family(),
       .examples = {"millrace cache top", "millrace cache top --family user"},
       .run = top},
      {.name = "cache families",
       .purpose = "Show which families and rules the server's cache has.",
       .options = with_reading_options({}),
       .examples = {"millrace cache families", "millrace cache families --json"},
       .run = families,
       .notes = "They are declared in the configuration of the server: [cache.families.NAME],\n"
                "[cache.rules.NAME], or cache.profile for ready-made ones."},
  };
}

}  // namespace millrace::cli
