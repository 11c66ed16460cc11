#include <millrace/base/json.hpp>

#include <millrace/base/json_object.hpp>

#include <boost/json.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

std::vector<std::string> raw_elements(std::string_view text) {
  std::vector<std::string> elements;
  for_each_raw_element(text, [&](std::string_view element) { elements.emplace_back(element); });
  return elements;
}

TEST(ParseJson, TakesOneValueWithSpaceAroundIt) {
  const auto value = parse_json(" {\"a\": [1, 2.5, \"\\u00e4\", null, true]}\r\n\t");
  ASSERT_TRUE(value);
  EXPECT_EQ(json::serialize(*value), "{\"a\":[1,2.5E0,\"ä\",null,true]}");
}

struct broken_text {
  std::string text;
  std::size_t at;
  std::string why;
};

TEST(ParseJson, NamesTheByteAndTheReason) {
  const std::vector<broken_text> cases{
      {"{\"a\":1,}", 7, "unexpected character"},
      {"{\"a\":tru", 8, "ends too early"},
      {"[1] x", 4, "more text"},
      {"\"\\ud800\\u0041\"", 9, "surrogate"},
      {"\"\\u12g4\"", 5, "hexadecimal"},
      {"\"\xC3\x28\"", 1, "UTF-8"},
      {"[NaN]", 1, "unexpected character"},
      {"[1,/*x*/2]", 3, "unexpected character"},
      {"\"\x01\"", 1, "unexpected character"},
      {"[01]", 2, "unexpected character"},
  };
  for (const auto& [text, at, why] : cases) {
    SCOPED_TRACE(text);
    const auto parsed = parse_json(text);
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().kind, errc::malformed);
    EXPECT_EQ(parsed.error().code, "malformed_json");
    EXPECT_THAT(parsed.error().detail, HasSubstr(why));
    EXPECT_THAT(parsed.error().detail, HasSubstr("at byte " + std::to_string(at) + "."));
  }
}

TEST(ParseJson, EmptyTextIsMalformed) {
  ASSERT_FALSE(parse_json(""));
  EXPECT_THAT(parse_json("").error().detail, HasSubstr("there is none"));
  EXPECT_FALSE(parse_json("  "));
}

TEST(ParseJson, NestsToTheLimitAndNoDeeper) {
  EXPECT_TRUE(parse_json(nested(json_depth_max)));
  const auto deeper = parse_json(nested(json_depth_max + 1));
  ASSERT_FALSE(deeper);
  EXPECT_EQ(deeper.error().kind, errc::too_large);
  EXPECT_EQ(deeper.error().code, "json_too_deep");
}

// Found by the fuzzer: the parser took the first two for NaN.
TEST(ParseJson, MakesOnlyFiniteNumbers) {
  const auto parsed = parse_json("[0e400, {\"a\": -0.0E99999}, 1e400, -1e400]");
  ASSERT_TRUE(parsed);
  const json::array& numbers = parsed->get_array();
  EXPECT_EQ(numbers[0].get_double(), 0.0);
  EXPECT_EQ(numbers[1].at("a").get_double(), 0.0);
  EXPECT_EQ(numbers[2].get_double(), std::numeric_limits<double>::max());
  EXPECT_EQ(numbers[3].get_double(), std::numeric_limits<double>::lowest());
}

TEST(CheckJson, AgreesWithTheParser) {
  const std::vector<std::string> texts{
      "{}",       "[1,2]",    "\"x\"",     "null", "1e400",       "",    " ",    "{\"a\"}",
      "[1] 2",    "\"\xff\"", "-",         "1e",   "\"\\ud800\"", "tru", "[1,]", nested(64),
      nested(65), "12 ",      "{\"a\":1}x"};
  for (const std::string& text : texts) {
    SCOPED_TRACE(text);
    const auto parsed = parse_json(text);
    const auto checked = check_json(text);
    ASSERT_EQ(parsed.has_value(), checked.has_value());
    if (!parsed) EXPECT_EQ(parsed.error().detail, checked.error().detail);
  }
}

TEST(RawMember, GivesTheBytesAsTheyWereSent) {
  const std::string text = R"( { "data" : {"n": 1.00e2, "s": "}\"]"} , "x":12345678901234567890 })";
  EXPECT_EQ(raw_member(text, "data"), R"({"n": 1.00e2, "s": "}\"]"})");
  EXPECT_EQ(raw_member(text, "x"), "12345678901234567890");
  EXPECT_EQ(raw_member(text, "n"), std::nullopt);
}

TEST(RawMember, LooksAtTheOutermostObjectOnly) {
  EXPECT_EQ(raw_member(R"({"a":{"b":1},"c":[{"b":2}]})", "b"), std::nullopt);
  EXPECT_EQ(raw_member(R"([{"a":1}])", "a"), std::nullopt);
  EXPECT_EQ(raw_member("{}", "a"), std::nullopt);
  EXPECT_EQ(raw_member("\"a\"", "a"), std::nullopt);
}

TEST(RawMember, ReadsNamesThatAreSpeltWithEscapes) {
  EXPECT_EQ(raw_member(R"({"d\u0061ta":1})", "data"), "1");
  EXPECT_EQ(raw_member(R"({"a\"b":"\\"})", "a\"b"), R"("\\")");
  EXPECT_EQ(raw_member(R"({"d\u0062ta":1})", "data"), std::nullopt);
}

TEST(RawMember, TakesTheLastOfADoubledMember) {
  EXPECT_EQ(raw_member(R"({"a":1,"a":2})", "a"), "2");
}

TEST(RawElements, SplitsAnArrayAtItsOwnCommas) {
  EXPECT_THAT(raw_elements(R"([1, "a,]" ,{"x":[2,3]},[ ],null ])"),
              ElementsAre("1", R"("a,]")", R"({"x":[2,3]})", "[ ]", "null"));
  EXPECT_THAT(raw_elements(" [ ] "), IsEmpty());
  EXPECT_THAT(raw_elements("{\"a\":1}"), IsEmpty());
}

TEST(AppendJsonString, EscapesWhatMustBeAndNothingElse) {
  std::string out = "x";
  append_json_string(out, std::string_view("a\"b\\c\n\t\r\b\f\x01\x1f\x7f\0ä/", 17));
  EXPECT_EQ(out, "x\"a\\\"b\\\\c\\n\\t\\r\\b\\f\\u0001\\u001f\x7f\\u0000ä/\"");
  std::string empty;
  append_json_string(empty, "");
  EXPECT_EQ(empty, "\"\"");
}

TEST(AppendJsonString, IsReadBackAsItWas) {
  std::string all;
  for (int c = 0; c < 128; ++c) all.push_back(static_cast<char>(c));
  all += "é€😀";
  std::string text;
  append_json_string(text, all);
  const auto back = parse_json(text);
  ASSERT_TRUE(back);
  EXPECT_EQ(std::string_view{back->as_string()}, all);
}

TEST(RawMembers, ComeInOrderWithTheirBytes) {
  std::vector<std::string> seen;
  const auto note = [&seen](std::string name, std::string_view value) {
    seen.push_back(std::move(name) + "=" + std::string(value));
  };
  for_each_raw_member(R"( { "a" : 1.0 , "\u00e9\"": {"x": [1, 2]}, "a":"}" } )", note);
  EXPECT_EQ(seen, (std::vector<std::string>{"a=1.0", "é\"={\"x\": [1, 2]}", "a=\"}\""}));
  seen.clear();
  for_each_raw_member("{}", note);
  for_each_raw_member("[1]", note);
  EXPECT_TRUE(seen.empty());
}

}  // namespace
}  // namespace millrace
