#include <millrace/base/routed_id.hpp>

#include <gtest/gtest.h>

#include <string>

namespace millrace {
namespace {

constexpr std::uint64_t stamp_max = (std::uint64_t{1} << 53U) - 1;

TEST(RoutedId, RoundTrips) {
  for (const std::uint64_t stamp : {std::uint64_t{1}, std::uint64_t{31}, std::uint64_t{32},
                                    std::uint64_t{1'767'225'600'000'000}, stamp_max}) {
    const routed_id id{"mail.EU-1_x", stamp};
    EXPECT_EQ(routed_id::parse(id.text()), id);
  }
}

TEST(RoutedId, HasElevenLowerCaseCharactersBehindTheTag) {
  EXPECT_EQ((routed_id{"q", 1}.text()), "q~00000000001");
  EXPECT_EQ((routed_id{"q", 31}.text()), "q~0000000000z");
  EXPECT_EQ((routed_id{"q", stamp_max}.text()), "q~7zzzzzzzzzz");
}

TEST(RoutedId, SortsAsItsStampsDo) {
  std::string before;
  for (std::uint64_t stamp = 1; stamp <= stamp_max / 3; stamp *= 3) {
    const std::string text = routed_id{"q", stamp}.text();
    EXPECT_LT(before, text);
    before = text;
  }
}

TEST(RoutedId, ParsesNothingThatTextCannotHaveMade) {
  for (const std::string& text :
       {std::string{}, std::string{"q"}, std::string{"~00000000001"}, std::string{"q~00000000000"},
        std::string{"q~0000000001"}, std::string{"q~000000000001"}, std::string{"q~0000000000Z"},
        std::string{"q~0000000000i"}, std::string{"q~0000000000l"}, std::string{"q~0000000000o"},
        std::string{"q~0000000000u"}, std::string{"q~80000000000"}, std::string{"q~zzzzzzzzzzz"},
        std::string{"{q}~00000000001"}, std::string{"a/b~00000000001"},
        std::string{"a~b~00000000001"}, std::string{"q-00000000001"}, std::string{"q~00000000001 "},
        std::string(129, 'q') + "~00000000001"}) {
    EXPECT_EQ(routed_id::parse(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace millrace
