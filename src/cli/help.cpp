#include "help.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <vector>

namespace millrace::cli {
namespace {

constexpr std::size_t line_columns = 96;

struct entry {
  std::string left;
  std::string_view right;
};

// `right` in a column of its own, broken at blanks.
void append_entry(std::string& out, const entry& one, std::size_t left_columns) {
  const std::size_t indent = left_columns + 4;
  fmt::format_to(std::back_inserter(out), "  {:<{}}  ", one.left, left_columns);
  std::size_t column = indent;
  if (one.left.size() > left_columns) {
    out += '\n';
    out.append(indent, ' ');
  }
  std::string_view rest = one.right;
  bool first = true;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(' '), rest.size());
    const std::string_view word = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (!first && column + 1 + word.size() > line_columns) {
      out += '\n';
      out.append(indent, ' ');
      column = indent;
    } else if (!first) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
    first = false;
  }
  out += '\n';
}

void append_entries(std::string& out, std::string_view title, const std::vector<entry>& entries) {
  if (entries.empty()) return;
  constexpr std::size_t left_columns_max = 30;
  std::size_t left_columns = 0;
  for (const entry& one : entries) {
    if (one.left.size() <= left_columns_max) left_columns = std::max(left_columns, one.left.size());
  }
  fmt::format_to(std::back_inserter(out), "\n{}:\n", title);
  for (const entry& one : entries) append_entry(out, one, left_columns);
}

std::string synopsis(const command& what) {
  std::string line = fmt::format("millrace {}", what.name);
  for (const argument& one : what.arguments) {
    const std::string_view dots = one.repeated ? "…" : "";
    const std::string shown = fmt::format("{}{}", one.name, dots);
    line += one.required ? fmt::format(" {}", shown) : fmt::format(" [{}]", shown);
  }
  if (!what.options.empty()) line += " [options]";
  return line;
}

std::string_view group_of(const command& what) {
  const std::size_t blank = what.name.find(' ');
  return blank == std::string_view::npos ? std::string_view{} : what.name.substr(0, blank);
}

}  // namespace

std::string program_help() {
  std::string out =
      "millrace keeps the jobs of an application: durable, retried, watched.\n"
      "\nUsage: millrace COMMAND [options]\n";
  std::vector<entry> entries;
  std::string_view last_group;
  for (const command& one : all_commands()) {
    const std::string_view group = group_of(one);
    if (group.empty()) {
      entries.push_back({.left = std::string{one.name}, .right = one.purpose});
    } else if (group != last_group) {
      entries.push_back({.left = std::string{group}, .right = group_purpose(group)});
    }
    last_group = group;
  }
  append_entries(out, "Commands", entries);
  out +=
      "\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 no server or not available.\n"
      "\nStart here:\n"
      "  millrace serve                                  a server, in ./.millrace\n"
      "  millrace enqueue mail '{\"to\":\"ann@example.org\"}'  a job\n"
      "  millrace worker --queue mail --exec ./send-mail  somebody who does it\n"
      "\n`millrace COMMAND --help` says everything about a command.\n";
  return out;
}

std::string group_help(std::string_view group) {
  std::string out =
      fmt::format("{}\n\nUsage: millrace {} COMMAND [options]\n", group_purpose(group), group);
  std::vector<entry> entries;
  for (const command& one : all_commands()) {
    if (group_of(one) == group) {
      entries.push_back(
          {.left = std::string{one.name.substr(group.size() + 1)}, .right = one.purpose});
    }
  }
  append_entries(out, "Commands", entries);
  fmt::format_to(std::back_inserter(out),
                 "\n`millrace {} COMMAND --help` says everything about a command.\n", group);
  return out;
}

std::string command_help(const command& what) {
  std::string out = fmt::format("{}\n\nUsage: {}\n", what.purpose, synopsis(what));
  std::vector<entry> arguments;
  for (const argument& one : what.arguments) {
    arguments.push_back({.left = std::string{one.name}, .right = one.purpose});
  }
  append_entries(out, "Arguments", arguments);
  std::vector<entry> options;
  for (const option& one : what.options) {
    std::string left{one.name};
    if (!one.value.empty()) left += fmt::format(" {}", one.value);
    if (one.repeated) left += "…";
    options.push_back({.left = std::move(left), .right = one.purpose});
  }
  options.push_back({.left = "--help", .right = "this text"});
  append_entries(out, "Options", options);
  if (!what.notes.empty()) fmt::format_to(std::back_inserter(out), "\n{}\n", what.notes);
  if (!what.examples.empty()) {
    out += "\nExamples:\n";
    for (const std::string_view example : what.examples) {
      fmt::format_to(std::back_inserter(out), "  {}\n", example);
    }
  }
  return out;
}

}  // namespace millrace::cli
