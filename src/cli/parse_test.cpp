#include "parse.hpp"

#include "captured.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace millrace::cli {
namespace {

using words = std::vector<std::string>;

std::string refusal(words args) {
  const parsed_line line = parse_line(std::move(args));
  const auto* wrong = std::get_if<usage_error>(&line);
  return wrong == nullptr ? "not refused" : wrong->message;
}

TEST(ParseLine, ReadsCommandArgumentsAndOptions) {
  const auto line = parsed(
      {"enqueue", "mail", "--priority", "9", "{}", "--label=a=b", "--label", "c=d", "--wait"});
  EXPECT_EQ(line.what->name, "enqueue");
  EXPECT_EQ(line.in.required("QUEUE"), "mail");
  EXPECT_EQ(line.in.text("JSON"), "{}");
  EXPECT_EQ(line.in.text("--priority"), "9");
  EXPECT_EQ(line.in.texts("--label"), (words{"a=b", "c=d"}));
  EXPECT_TRUE(line.in.has("--wait"));
  EXPECT_FALSE(line.in.has("--json"));
}

TEST(ParseLine, ReadsCommandsOfTwoWords) {
  EXPECT_EQ(parsed({"queue", "ls"}).what->name, "queue ls");
  EXPECT_EQ(parsed({"dlq", "requeue", "mail", "a", "b"}).in.texts("WHICH"), (words{"a", "b"}));
}

// Names of commands are names like any other where a queue is meant.
TEST(ParseLine, TakesTheNameOfACommandAsAnArgument) {
  EXPECT_EQ(parsed({"enqueue", "queue"}).in.required("QUEUE"), "queue");
  EXPECT_EQ(parsed({"queue", "show", "ls"}).in.required("QUEUE"), "ls");
}

TEST(ParseLine, TakesAllThatStandsBehindTwoDashes) {
  const auto line =
      parsed({"worker", "--queue", "mail", "--exec", "python3", "--", "-u", "job.py", "--json"});
  EXPECT_EQ(line.in.text("--exec"), "python3");
  EXPECT_EQ(line.in.texts("ARG"), (words{"-u", "job.py", "--json"}));
  EXPECT_FALSE(line.in.has("--json"));
  EXPECT_EQ(parsed({"enqueue", "mail", "--", "-5"}).in.text("JSON"), "-5");
}

TEST(ParseLine, TakesADashAsTheStandardInput) {
  EXPECT_EQ(parsed({"enqueue", "mail", "-"}).in.text("JSON"), "-");
}

TEST(ParseLine, TakesAValueThatBeginsWithADash) {
  EXPECT_EQ(parsed({"enqueue", "mail", "--delay", "-5s"}).in.text("--delay"), "-5s");
}

TEST(ParseLine, TakesOptionsInFrontOfTheCommand) {
  const auto line = parsed({"--url", "http://a:1", "--json", "queue", "ls", "--limit", "5"});
  EXPECT_EQ(line.what->name, "queue ls");
  EXPECT_EQ(line.in.text("--url"), "http://a:1");
  EXPECT_TRUE(line.in.has("--json"));
  EXPECT_EQ(line.in.text("--limit"), "5");
}

TEST(ParseLine, SuggestsWhatWasMeant) {
  EXPECT_EQ(refusal({"enqeue", "mail"}), "unknown command 'enqeue'; did you mean 'enqueue'?");
  EXPECT_EQ(refusal({"queue", "lst"}), "unknown command 'queue lst'; did you mean 'ls'?");
  EXPECT_EQ(refusal({"enqueue", "mail", "--priorty", "3"}),
            "--priorty: unknown option; did you mean '--priority'?");
  EXPECT_EQ(refusal({"serve", "--lisen=127.0.0.1:0"}),
            "--lisen: unknown option; did you mean '--listen'?");
  EXPECT_EQ(refusal({"serve", "--log-format", "jsn"}),
            "--log-format: 'jsn' is not one of text, json; did you mean 'json'?");
  EXPECT_EQ(refusal({"--jsn"}), "--jsn: unknown option; did you mean '--json'?");
}

TEST(ParseLine, SaysWhatIsMissingOrTooMuch) {
  EXPECT_TRUE(refusal({"enqueue"}).starts_with("QUEUE is missing: "));
  EXPECT_EQ(refusal({"enqueue", "mail", "1", "2"}), "'2' is one argument too many");
  EXPECT_TRUE(refusal({"enqueue", "mail", "--priority"})
                  .starts_with("--priority: its value N is missing: "));
  EXPECT_EQ(refusal({"enqueue", "mail", "--wait=3"}), "--wait: takes no value");
  EXPECT_EQ(refusal({"enqueue", "mail", "--type", "a", "--type", "b"}),
            "--type: given 2 times, but it counts once");
  EXPECT_EQ(refusal({"completion", "tcsh"}), "SHELL: 'tcsh' is not one of bash, zsh, fish");
}

TEST(ParseLine, KnowsTheWaysToAskForHelp) {
  for (const words& args : {words{"--help"}, words{"-h"}, words{"help"}}) {
    const auto line = parse_line(args);
    ASSERT_TRUE(std::holds_alternative<help_wanted>(line));
    EXPECT_FALSE(std::get<help_wanted>(line).unasked);
  }
  for (const words& args : {words{"queue", "ls", "--help"}, words{"help", "queue", "ls"},
                            words{"queue", "ls", "-h", "--limit", "5"}}) {
    const auto line = parse_line(args);
    ASSERT_TRUE(std::holds_alternative<help_wanted>(line));
    ASSERT_NE(std::get<help_wanted>(line).of, nullptr);
    EXPECT_EQ(std::get<help_wanted>(line).of->name, "queue ls");
  }
  EXPECT_EQ(std::get<help_wanted>(parse_line({"help", "queue"})).group, "queue");
  EXPECT_TRUE(std::get<help_wanted>(parse_line({})).unasked);
  EXPECT_TRUE(std::get<help_wanted>(parse_line({"queue"})).unasked);
}

TEST(Invocation, ChecksNumbersAndSpans) {
  const auto in = parsed({"enqueue", "q", "--priority", "11", "--max-attempts", "4x", "--delay",
                          "90s", "--lease", "-1s"})
                      .in;
  EXPECT_EQ(in.integer("--priority", 0, 9).error().field, "--priority");
  EXPECT_EQ(in.integer("--max-attempts", 1, 1000).error().field, "--max-attempts");
  EXPECT_FALSE(in.integer("--url", 0, 1).value());
  EXPECT_EQ(in.span("--delay").value(), duration{std::chrono::seconds{90}});
  EXPECT_EQ(in.span("--lease").error().field, "--lease");
}

}  // namespace
}  // namespace millrace::cli
