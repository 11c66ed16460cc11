#include "help.hpp"

#include "captured.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

namespace millrace::cli {
namespace {

// As a shell would take an example apart, as far as the examples go: blanks and single quotes, up
// to a pipe or a redirection.
std::vector<std::string> shell_words(std::string_view line) {
  std::vector<std::string> found;
  std::string word;
  bool quoted = false;
  bool any = false;
  for (const char c : line) {
    if (c == '\'') {
      quoted = !quoted;
      any = true;
    } else if (!quoted && (c == '|' || c == '>')) {
      break;
    } else if (!quoted && c == ' ') {
      if (any) found.push_back(word);
      word.clear();
      any = false;
    } else {
      word += c;
      any = true;
    }
  }
  if (any) found.push_back(word);
  return found;
}

// Where the example calls the program: behind a pipe, or within `<(…)`.
std::string_view call_in(std::string_view example) {
  const std::size_t begin = example.find("millrace ");
  if (begin == std::string_view::npos) return {};
  std::string_view call = example.substr(begin);
  if (call.ends_with(')')) call.remove_suffix(1);
  return call;
}

TEST(Help, NamesEveryGroupOfCommandsOnce) {
  const std::string help = program_help();
  for (const command& one : all_commands()) {
    const std::string line = fmt::format("\n  {} ", one.name.substr(0, one.name.find(' ')));
    const std::size_t first = help.find(line);
    ASSERT_NE(first, std::string::npos) << one.name;
    EXPECT_EQ(help.find(line, first + 1), std::string::npos) << one.name;
  }
}

TEST(Help, HasExamplesThatParse) {
  for (const command& one : all_commands()) {
    EXPECT_FALSE(one.examples.empty()) << one.name;
    for (const std::string_view example : one.examples) {
      auto args = shell_words(call_in(example));
      ASSERT_FALSE(args.empty()) << example;
      args.erase(args.begin());
      const parsed_line line = parse_line(args);
      const auto* wrong = std::get_if<usage_error>(&line);
      EXPECT_EQ(wrong, nullptr) << example << ": " << (wrong == nullptr ? "" : wrong->message);
      if (const auto* read = std::get_if<parsed_command>(&line)) {
        EXPECT_EQ(read->what->name, one.name) << example;
      }
    }
  }
}

TEST(Help, SaysWhatEveryOptionIsFor) {
  for (const command& one : all_commands()) {
    EXPECT_TRUE(one.purpose.ends_with('.')) << one.name;
    const std::string text = command_help(one);
    for (const option& each : one.options) {
      EXPECT_FALSE(each.purpose.empty()) << one.name << ' ' << each.name;
      EXPECT_NE(text.find(each.name), std::string::npos) << one.name << ' ' << each.name;
    }
    for (const argument& each : one.arguments) {
      EXPECT_FALSE(each.purpose.empty()) << one.name << ' ' << each.name;
    }
  }
}

TEST(Help, FitsATerminal) {
  for (const command& one : all_commands()) {
    std::istringstream lines{command_help(one)};
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 110U) << line;
  }
}

TEST(Help, NamesEveryCommand) {
  const std::string text = program_help();
  for (const command& one : all_commands()) {
    const std::string_view head = one.name.substr(0, one.name.find(' '));
    EXPECT_NE(text.find("  " + std::string{head} + " "), std::string::npos) << one.name;
    if (head != one.name) {
      const std::string_view word = one.name.substr(head.size() + 1);
      EXPECT_NE(group_help(head).find("  " + std::string{word} + " "), std::string::npos);
      EXPECT_FALSE(group_purpose(head).empty());
    }
  }
}

TEST(Run, PrintsHelpWhereItIsAskedForAndUsageWhereItIsNot) {
  captured world;
  EXPECT_EQ(world.run({"--help"}), exit_code::done);
  EXPECT_EQ(world.out.str(), program_help());
  EXPECT_EQ(world.run({}), exit_code::usage);
  EXPECT_EQ(world.out.str(), "");
  EXPECT_EQ(world.err.str(), program_help());
  EXPECT_EQ(world.run({"enqueue", "--bogus"}), exit_code::usage);
  EXPECT_EQ(world.err.str(),
            "millrace: --bogus: unknown option\n`millrace enqueue --help` says more.\n");
}

TEST(Run, PrintsItsVersion) {
  captured world;
  EXPECT_EQ(world.run({"version"}), exit_code::done);
  const std::string text = world.out.str();
  EXPECT_TRUE(text.starts_with("millrace "));
  EXPECT_EQ(world.run({"--version"}), exit_code::done);
  EXPECT_EQ(world.out.str(), text);
  EXPECT_EQ(world.run({"version", "--json"}), exit_code::done);
  EXPECT_TRUE(world.out.str().starts_with(R"({"version":")"));
}

}  // namespace
}  // namespace millrace::cli
