#include <millrace/base/names.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace millrace {
namespace {

using testing::HasSubstr;

TEST(CheckName, TakesTheAlphabetAndOneTag) {
  for (const std::string& name : {std::string{"a"}, std::string{"Az09._-"}, std::string{"{tag}"},
                                  std::string{"mail.{eu-1}.out"}, std::string(128, 'x'),
                                  std::string(128, 'x') + "{" + std::string(128, 't') + "}"}) {
    EXPECT_TRUE(check_name(name, "queue")) << name;
  }
}

TEST(CheckName, RefusesWhatIsNoNameAndNamesTheField) {
  for (const std::string& name :
       {std::string{}, std::string{"a/b"}, std::string{"a b"}, std::string{"ä"},
        std::string{"a\0b", 3}, std::string{"{}"}, std::string{"a{"}, std::string{"a}"},
        std::string{"{a}{b}"}, std::string{"{a{b}"}, std::string{"}a{"}, std::string{"{a}}"},
        std::string{"{a b}"}, std::string(129, 'x'), "{" + std::string(129, 't') + "}"}) {
    const auto checked = check_name(name, "queue");
    ASSERT_FALSE(checked) << name;
    EXPECT_EQ(checked.error().kind, errc::invalid_argument);
    EXPECT_EQ(checked.error().code, "invalid_name");
    EXPECT_EQ(checked.error().field, "queue");
  }
}

TEST(CheckName, SaysWhichCharacterIsWrong) {
  EXPECT_THAT(check_name("a/b", "queue").error().detail, HasSubstr("'/' (byte 1)"));
  EXPECT_THAT(check_name({"a\0b", 3}, "queue").error().detail, HasSubstr("\\x00"));
  EXPECT_THAT(check_name("a b", "queue").error().detail, HasSubstr("a space"));
}

TEST(CheckKey, TakesAnyTextWithoutControlCharacters) {
  EXPECT_TRUE(check_key("user:42/étage 😀", "unique.key"));
  EXPECT_TRUE(check_key(std::string(512, 'k'), "unique.key"));
}

TEST(CheckKey, RefusesEmptyLongControlAndBrokenText) {
  for (const std::string& key : {std::string{}, std::string(513, 'k'), std::string{"a\nb"},
                                 std::string{"\x7f"}, std::string{"\0", 1}, std::string{"\xff"}}) {
    const auto checked = check_key(key, "unique.key");
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, "invalid_key");
    EXPECT_EQ(checked.error().field, "unique.key");
  }
  EXPECT_THAT(check_key("a\nb", "k").error().detail, HasSubstr("\\x0a"));
}

TEST(RoutingTag, IsTheBracesPartOrTheName) {
  EXPECT_EQ(routing_tag("mail"), "mail");
  EXPECT_EQ(routing_tag("mail.{eu}.out"), "eu");
  EXPECT_EQ(routing_tag("{eu}"), "eu");
}

// The well-formed and the first ill-formed sequence of each row of Unicode's table 3-7.
TEST(Utf8, FollowsTheTableOfWellFormedSequences) {
  for (const std::string_view good :
       {"", "a", "\x7f", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80",
        "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(is_utf8(good));
  }
  for (const std::string_view bad :
       {"\x80", "\xC0\x80", "\xC1\xBF", "\xC2", "\xC2\x41", "\xE0\x9F\xBF", "\xED\xA0\x80",
        "\xE1\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF",
        "ok\xF1\x80\x80"}) {
    EXPECT_FALSE(is_utf8(bad));
  }
}

TEST(Utf8, CutsBetweenCharacters) {
  EXPECT_EQ(cut_utf8("abc", 5), "abc");
  EXPECT_EQ(cut_utf8("abc", 2), "ab");
  EXPECT_EQ(cut_utf8("aé", 2), "a");
  EXPECT_EQ(cut_utf8("a😀b", 4), "a");
  EXPECT_EQ(cut_utf8("a😀b", 5), "a😀");
  EXPECT_EQ(cut_utf8("😀", 0), "");
}

TEST(Excerpt, ShowsNothingThatBreaksATerminalOrAMessage) {
  EXPECT_EQ(excerpt("plain äöü"), "plain äöü");
  EXPECT_EQ(excerpt({"a\x1b[2J\0\x7f", 7}), "a\\x1b[2J\\x00\\x7f");
  EXPECT_EQ(excerpt("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(excerpt(std::string(100, 'x')), std::string(40, 'x'));
}

}  // namespace
}  // namespace millrace
