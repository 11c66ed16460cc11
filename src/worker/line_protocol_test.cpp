#include <millrace/worker/line_protocol.hpp>

#include <millrace/engine/limits.hpp>

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace millrace {
namespace {

// One line an event, so that expectations read like the protocol.
std::string shown(const output_event& event) {
  struct show {
    std::string operator()(const progress_said& said) const {
      return "progress " + std::to_string(said.value) + " " + said.message;
    }
    std::string operator()(const line_logged& said) const { return "log " + said.text; }
    std::string operator()(const checkpoint_said& said) const { return "checkpoint " + said.json; }
    std::string operator()(const done_said& said) const { return "done " + said.result; }
    std::string operator()(const fail_said& said) const {
      std::string text = said.permanent ? "fail for good " : "fail ";
      if (said.retry_in) text += std::to_string(said.retry_in->count()) + "us ";
      return text + said.error;
    }
  };
  return std::visit(show{}, event);
}

struct heard {
  std::vector<std::string> events;
  result<std::string> printed{"unset"};
};

heard hear(exec_mode mode, std::string_view bytes, std::size_t piece,
           std::size_t line_bytes_max = engine::item_bytes_max) {
  heard all;
  output_parser parser{mode, line_bytes_max};
  const auto take = [&all](const output_event& event) { all.events.push_back(shown(event)); };
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    parser.feed(bytes.substr(at, piece), take);
  }
  all.printed = parser.finish(take);
  return all;
}

heard one_shot(std::string_view bytes) { return hear(exec_mode::one_shot, bytes, bytes.size()); }
heard long_lived(std::string_view bytes) {
  return hear(exec_mode::long_lived, bytes, bytes.size());
}

using events = std::vector<std::string>;

TEST(OutputParser, TakesTheLastLineAsResultAndEarlierOnesAsLog) {
  const heard said = one_shot("reading\ncounting\n{\"words\":7}\n");
  EXPECT_EQ(said.events, (events{"log reading", "log counting"}));
  EXPECT_EQ(said.printed, R"({"words":7})");
}

TEST(OutputParser, TakesALastLineWithoutItsEnd) { EXPECT_EQ(one_shot("first\n42").printed, "42"); }

TEST(OutputParser, MakesAStringOfAResultThatIsNoJson) {
  EXPECT_EQ(one_shot("all \"well\"\r\n").printed, R"("all \"well\"")");
}

TEST(OutputParser, HasNullAsResultWhenNothingWasPrinted) {
  EXPECT_EQ(one_shot("").printed, "null");
  EXPECT_EQ(one_shot("\n \n").printed, "null");
}

TEST(OutputParser, PassesOverBlankLinesAndCommandsInSearchOfTheResult) {
  const heard said = one_shot("result\n\n::log the end\n::progress 1\n\n");
  EXPECT_EQ(said.events, (events{"log the end", "progress 1.000000 "}));
  EXPECT_EQ(said.printed, "\"result\"");
}

TEST(OutputParser, ReadsEveryCommand) {
  const heard said = one_shot(
      "::progress 0.25 a quarter \n::progress 1\n::log  hello\n::checkpoint {\"page\": 3}\n");
  EXPECT_EQ(said.events, (events{"progress 0.250000 a quarter", "progress 1.000000 ", "log hello",
                                 "checkpoint {\"page\": 3}"}));
  EXPECT_EQ(said.printed, "null");
}

TEST(OutputParser, TakesWhatOnlyLooksLikeACommandAsText) {
  const heard said = one_shot("::progressive\n::group::x\n: :log\n::done\nend\n");
  EXPECT_EQ(said.events,
            (events{"log ::progressive", "log ::group::x", "log : :log", "log ::done"}));
}

TEST(OutputParser, TellsOfACommandThatDoesNotParse) {
  const heard said = one_shot("::progress fast\n::progress 1.5\n::progress nan\n::checkpoint {\n");
  ASSERT_EQ(said.events.size(), 4U);
  EXPECT_EQ(said.events[0],
            "log [not understood: the progress is no number from 0 to 1] ::progress fast");
  EXPECT_EQ(said.events[3], "log [not understood: the checkpoint is no JSON] ::checkpoint {");
  EXPECT_EQ(said.printed, "null");
}

TEST(OutputParser, RefusesAResultBeyondTheBoundAndSaysSo) {
  const heard exact = hear(exec_mode::one_shot, "\"56789\"\r\n", 3, 7);
  EXPECT_EQ(exact.printed, "\"56789\"");
  const heard beyond = hear(exec_mode::one_shot, "12345678\n", 3, 7);
  ASSERT_FALSE(beyond.printed);
  EXPECT_EQ(beyond.printed.error().code, "result_too_large");
  EXPECT_NE(beyond.printed.error().detail.find("7 bytes"), std::string::npos);
}

// As JSON a text is longer than as it was printed.
TEST(OutputParser, CountsAResultAsJsonToo) {
  EXPECT_FALSE(hear(exec_mode::one_shot, "a\"b\"c\n", 9, 7).printed);
}

TEST(OutputParser, CutsALongLineThatIsNotTheResult) {
  const std::string line(5000, 'x');
  const heard said = hear(exec_mode::one_shot, line + "\nshort\n", 7, 2000);
  ASSERT_EQ(said.events.size(), 1U);
  EXPECT_EQ(said.events[0], "log " + line.substr(0, engine::log_line_bytes_max));
  EXPECT_EQ(said.printed, "\"short\"");
}

TEST(OutputParser, ReplacesWhatIsNoTextInLogsAndKeepsItOutOfJson) {
  const heard said = one_shot("a\xff\x1b[31mb\xc3\nz\xf0\x9f\x98\n");
  EXPECT_EQ(said.events, (events{"log a\xef\xbf\xbd [31mb\xef\xbf\xbd"}));
  EXPECT_EQ(said.printed, "\"z\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

TEST(OutputParser, ReadsTheAnswersOfALongLivedProgram) {
  const heard said = long_lived(
      "warming up\n::done {\"n\":1}\n::done\n::done fine\n"
      "::fail {\"error\":\"no such page\",\"permanent\":true}\n"
      "::fail {\"error\":\"busy\",\"retry_in\":1.5}\n::fail just text\n::fail\n");
  EXPECT_EQ(said.events, (events{"log warming up", "done {\"n\":1}", "done null", "done \"fine\"",
                                 "fail for good no such page", "fail 1500000us busy",
                                 "fail just text", "fail the program failed and did not say why"}));
  EXPECT_EQ(said.printed, "null");
}

TEST(OutputParser, AnswersALongLivedResultBeyondTheBoundAsPermanentFailure) {
  const std::string line = "::done \"" + std::string(100, 'x') + "\"\n";
  const heard said = hear(exec_mode::long_lived, line, 9, 50);
  ASSERT_EQ(said.events.size(), 1U);
  EXPECT_TRUE(said.events[0].starts_with("fail for good result_too_large"));
}

// The pieces in which a pipe delivers must not matter.
TEST(OutputParser, HearsTheSameWhateverThePieces) {
  std::mt19937 random{7};
  const std::vector<std::string> parts{"::progress 0.5 half\n",
                                       "::log x\r\n",
                                       "text",
                                       "\n",
                                       "\r",
                                       "::done 1\n",
                                       "::fail x\n",
                                       "\xff\xfe",
                                       "::checkpoint [1]\n",
                                       std::string(40, 'y'),
                                       "{\"a\":1}\n"};
  for (int round = 0; round < 200; ++round) {
    std::string bytes;
    for (int i = 0; i < 12; ++i) bytes += parts[random() % parts.size()];
    for (const exec_mode mode : {exec_mode::one_shot, exec_mode::long_lived}) {
      const heard whole = hear(mode, bytes, bytes.size(), 30);
      for (const std::size_t piece : {1U, 2U, 7U}) {
        const heard cut = hear(mode, bytes, piece, 30);
        EXPECT_EQ(cut.events, whole.events) << bytes;
        ASSERT_EQ(cut.printed.has_value(), whole.printed.has_value()) << bytes;
        if (whole.printed) {
          EXPECT_EQ(*cut.printed, *whole.printed) << bytes;
        }
      }
    }
  }
}

TEST(StderrTail, KeepsTheLastLinesWhole) {
  stderr_tail tail;
  for (int i = 0; i < 5000; ++i) tail.feed("line " + std::to_string(i) + "\n");
  const std::string text = tail.text(100);
  EXPECT_LE(text.size(), 100U);
  EXPECT_TRUE(text.starts_with("line 49")) << text;
  EXPECT_TRUE(text.ends_with("line 4999"));
}

TEST(StderrTail, KeepsTheEndOfOneEndlessLine) {
  stderr_tail tail;
  for (int i = 0; i < 1000; ++i) tail.feed(std::string(1000, 'x'));
  tail.feed("end");
  EXPECT_TRUE(tail.text(8192).ends_with("xxend"));
  EXPECT_LE(tail.text(8192).size(), 8192U);
}

TEST(StderrTail, FindsTheLastRetryTimeAndLeavesItOutOfTheText) {
  stderr_tail tail;
  tail.feed("upstream is busy\nRetry-In: 5\nretry-in: 30\nRetry-In: soon\n");
  EXPECT_EQ(tail.retry_in(), std::chrono::seconds{30});
  EXPECT_EQ(tail.text(8192), "upstream is busy");
}

TEST(StderrTail, TakesARetryTimeWithAUnit) {
  stderr_tail tail;
  tail.feed("Retry-In: 500ms");
  EXPECT_EQ(tail.retry_in(), std::chrono::milliseconds{500});
}

TEST(StderrTail, HasNoRetryTimeWithoutTheLine) {
  stderr_tail tail;
  tail.feed("I say Retry-In: 5\n");
  EXPECT_EQ(tail.retry_in(), std::nullopt);
}

}  // namespace
}  // namespace millrace
