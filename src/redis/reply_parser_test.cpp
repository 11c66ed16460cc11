#include <millrace/redis/reply_parser.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::redis {
namespace {

std::string shape(reply_view of) {
  switch (of.kind()) {
    case reply_kind::null: return "null";
    case reply_kind::integer: return std::to_string(of.integer());
    case reply_kind::boolean: return of.integer() == 1 ? "true" : "false";
    case reply_kind::real: return "r" + std::to_string(*of.as_real());
    case reply_kind::error: return "!" + std::string{of.text()};
    case reply_kind::simple: return "+" + std::string{of.text()};
    case reply_kind::bulk: return "'" + std::string{of.text()} + "'";
    case reply_kind::verbatim: return "=" + std::string{of.text()};
    case reply_kind::big_number: return "(" + std::string{of.text()};
    default: break;
  }
  std::string text{to_string(of.kind())};
  text += "[";
  for (const reply_view each : of) text += shape(each) + ",";
  return text + "]";
}

struct parsed {
  std::vector<std::string> replies;
  std::string problem;
};

// Everything in `bytes`, given in pieces of that size.
parsed parse_in(std::string_view bytes, std::size_t piece, reply_limits limits = {}) {
  reply_parser parser{limits};
  parsed all;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    std::string_view part = bytes.substr(at, piece);
    while (!part.empty()) {
      const auto taken = parser.read(part);
      if (!taken) {
        all.problem = taken.error().detail;
        return all;
      }
      part.remove_prefix(*taken);
      if (parser.complete()) all.replies.push_back(shape(parser.take().view()));
    }
  }
  EXPECT_EQ(parser.idle(), all.problem.empty() && bytes.ends_with("\n"));
  return all;
}

struct sample {
  std::string_view bytes;
  std::vector<std::string> replies;
};

const std::vector<sample> samples{
    {"+OK\r\n", {"+OK"}},
    {"-ERR no\r\n", {"!ERR no"}},
    {":-42\r\n:+7\r\n", {"-42", "7"}},
    {"$5\r\nhe\r\no\r\n", {"'he\r\no'"}},
    {"$0\r\n\r\n", {"''"}},
    {"$-1\r\n*-1\r\n_\r\n", {"null", "null", "null"}},
    {"#t\r\n#f\r\n", {"true", "false"}},
    {",1.5\r\n,-3e2\r\n,10\r\n", {"r1.500000", "r-300.000000", "r10.000000"}},
    {"(3492890328409238509324850943850943825024385\r\n",
     {"(3492890328409238509324850943850943825024385"}},
    {"=8\r\ntxt:abcd\r\n=4\r\nmkd:\r\n", {"=abcd", "="}},
    {"!7\r\nERR a\nb\r\n", {"!ERR a\nb"}},
    {"*0\r\n%0\r\n~0\r\n", {"array[]", "map[]", "set[]"}},
    {"*3\r\n:1\r\n$1\r\nx\r\n*2\r\n_\r\n+y\r\n", {"array[1,'x',array[null,+y,],]"}},
    {"%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n", {"map[+a,1,+b,array[2,],]"}},
    {"~2\r\n+a\r\n+b\r\n", {"set[+a,+b,]"}},
    {">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n+OK\r\n", {"push[+invalidate,array['k',],]", "+OK"}},
    {"*2\r\n*0\r\n*1\r\n*0\r\n", {"array[array[],array[array[],],]"}},
    // An attribute is no reply, at the beginning and inside.
    {"|1\r\n+ttl\r\n:3600\r\n+OK\r\n", {"+OK"}},
    {"*2\r\n|1\r\n+a\r\n*2\r\n:9\r\n$2\r\nzz\r\n$1\r\nb\r\n:2\r\n", {"array['b',2,]"}},
    {"|0\r\n|1\r\n|1\r\n+x\r\n+y\r\n+a\r\n+b\r\n:1\r\n", {"1"}},
};

TEST(ReplyParser, ReadsEveryTypeHoweverItIsCut) {
  for (const sample& each : samples) {
    for (std::size_t piece = 1; piece <= each.bytes.size(); ++piece) {
      const parsed all = parse_in(each.bytes, piece);
      EXPECT_EQ(all.problem, "") << each.bytes;
      EXPECT_EQ(all.replies, each.replies) << each.bytes << " in pieces of " << piece;
    }
  }
}

TEST(ReplyParser, ReadsDoublesThatAreNoNumbers) {
  reply_parser parser;
  const auto value_of = [&parser](std::string_view bytes) {
    EXPECT_EQ(parser.read(bytes), bytes.size());
    return *parser.take().view().as_real();
  };
  EXPECT_EQ(value_of(",inf\r\n"), HUGE_VAL);
  EXPECT_EQ(value_of(",-inf\r\n"), -HUGE_VAL);
  EXPECT_TRUE(std::isnan(value_of(",nan\r\n")));
}

TEST(ReplyParser, RefusesWhatIsNoReplyHoweverItIsCut) {
  const std::vector<std::string_view> garbage{
      "HTTP/1.1 400 Bad Request\r\n",
      "\x15\x03\x01",
      ":12x\r\n",
      ":99999999999999999999\r\n",
      ":\r\n",
      "+a\n",
      "$-2\r\n",
      "$x\r\n",
      "$1\r\nab\r\n",
      "$1\r\na\r\r",
      "#y\r\n",
      "_x\r\n",
      ",1.5.5\r\n",
      "(12a\r\n",
      "(\r\n",
      "=3\r\nabc\r\n",
      "=5\r\nabcde\r\n",
      "*-2\r\n",
      "%-1\r\n",
      "*1\r\n>1\r\n+a\r\n",
      "$?\r\n;4\r\nHell\r\n;0\r\n",
      "*?\r\n:1\r\n.\r\n",
      "\r\n",
      "*18446744073709551615\r\n",
      "%9223372036854775808\r\n",
  };
  for (const std::string_view each : garbage) {
    for (std::size_t piece = 1; piece <= each.size(); ++piece) {
      const parsed all = parse_in(each, piece);
      EXPECT_NE(all.problem, "") << each;
      EXPECT_TRUE(all.replies.empty()) << each;
    }
  }
}

TEST(ReplyParser, KeepsItsLimits) {
  const reply_limits tight{.depth = 3, .line_bytes = 16, .bulk_bytes = 8, .bytes = 16, .values = 6};
  const auto problem = [&tight](std::string_view bytes) {
    return parse_in(bytes, 1, tight).problem;
  };
  EXPECT_EQ(problem("*1\r\n*1\r\n*1\r\n:1\r\n"), "");
  EXPECT_NE(problem("*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n").find("deeper nesting"), std::string::npos);
  EXPECT_EQ(problem("+1234567890123\r\n"), "");
  EXPECT_NE(problem("+12345678901234\r\n").find("longer line"), std::string::npos);
  EXPECT_NE(problem(std::string(100, '+')).find("longer line"), std::string::npos);
  EXPECT_EQ(problem("$8\r\n12345678\r\n"), "");
  EXPECT_NE(problem("$9\r\n").find("longer string"), std::string::npos);
  const std::string eight = "$8\r\n12345678\r\n";
  EXPECT_EQ(problem("*2\r\n" + eight + eight), "");
  EXPECT_NE(problem("*3\r\n" + eight + eight + "$1\r\n").find("more bytes"), std::string::npos);
  EXPECT_NE(problem("*3\r\n" + eight + eight + "+1\r\n").find("more bytes"), std::string::npos);
  EXPECT_EQ(problem("*5\r\n:1\r\n:2\r\n:3\r\n:4\r\n:5\r\n"), "");
  EXPECT_NE(problem("*6\r\n").find("more values"), std::string::npos);
  EXPECT_NE(problem("*2\r\n*3\r\n:1\r\n:2\r\n:3\r\n*1\r\n").find("more values"), std::string::npos);
}

TEST(ReplyParser, NestsAsDeepAsALimitWithoutAStackOfItsOwn) {
  constexpr std::size_t depth = 100'000;
  std::string bytes;
  for (std::size_t i = 0; i < depth; ++i) bytes += "*1\r\n";
  bytes += ":1\r\n";
  reply_parser parser{{.depth = depth}};
  ASSERT_EQ(parser.read(bytes), bytes.size());
  const reply deep = parser.take();
  EXPECT_EQ(deep[0][0][0].size(), 1U);
}

TEST(ReplyParser, ReservesNothingForWhatIsOnlyAnnounced) {
  reply_parser parser;
  const std::string_view announced = "*4000000\r\n$536870912\r\n";
  EXPECT_EQ(parser.read(announced), announced.size());
  EXPECT_FALSE(parser.complete());
}

TEST(Reply, FindsItsWayAroundAggregates) {
  reply_parser parser;
  const std::string_view bytes = "*4\r\n+a\r\n*2\r\n:1\r\n:2\r\n+b\r\n%1\r\n$1\r\nk\r\n,2.5\r\n";
  ASSERT_EQ(parser.read(bytes), bytes.size());
  const reply whole = parser.take();
  ASSERT_EQ(whole.size(), 4U);
  EXPECT_EQ(whole[0].text(), "a");
  EXPECT_EQ(whole[1][1].integer(), 2);
  EXPECT_EQ(whole[2].text(), "b");
  EXPECT_EQ(*whole[3].find("k")->as_real(), 2.5);
  EXPECT_FALSE(whole[3].find("l"));
  // An array of names and values, as RESP2 has a map.
  EXPECT_EQ(whole.view().find("a")->size(), 2U);
  EXPECT_EQ(whole.view().find("b")->kind(), reply_kind::map);
  const reply moved = std::vector<reply>{whole}.front();
  EXPECT_EQ(moved[2].text(), "b");
}

TEST(Reply, TellsAnotherKindOfValueThanExpected) {
  reply_parser parser;
  const std::string_view bytes = "*4\r\n+12\r\n:3\r\n-WRONGTYPE x\r\n_\r\n";
  ASSERT_EQ(parser.read(bytes), bytes.size());
  const reply whole = parser.take();
  EXPECT_EQ(whole[0].as_integer(), 12);
  EXPECT_EQ(whole[1].as_integer(), 3);
  EXPECT_EQ(whole[1].as_text().error().code, "unexpected_reply");
  EXPECT_EQ(whole[2].as_integer().error().code, "wrong_type");
  EXPECT_EQ(whole[3].as_aggregate().error().code, "unexpected_reply");
  EXPECT_EQ(whole.view().as_text().error().kind, errc::corrupted);
}

}  // namespace
}  // namespace millrace::redis
