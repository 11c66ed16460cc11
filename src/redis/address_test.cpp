#include <millrace/redis/address.hpp>

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace millrace::redis {
namespace {

address parsed(std::string_view text) {
  auto read = parse_address(text, "redis");
  EXPECT_TRUE(read) << text << ": " << read.error().detail;
  return read ? *read : address{};
}

TEST(Address, ReadsEveryForm) {
  EXPECT_EQ(parsed("redis://localhost"), (address{.host = "localhost"}));
  EXPECT_EQ(parsed("redis://localhost/"), (address{.host = "localhost"}));
  EXPECT_EQ(
      parsed("redis://ann:s%3Acret@10.0.0.1:7000/12"),
      (address{
          .host = "10.0.0.1", .port = 7000, .user = "ann", .password = "s:cret", .database = 12}));
  EXPECT_EQ(parsed("redis://:p%40%2fq@h").password, "p@/q");
  EXPECT_EQ(parsed("redis://:p@ss@h").password, "p@ss");
  EXPECT_EQ(parsed("rediss://[::1]:6380/1"),
            (address{.over = address::transport::tls, .host = "::1", .port = 6380, .database = 1}));
  EXPECT_EQ(
      parsed("unix:///run/redis.sock?db=2"),
      (address{.over = address::transport::unix_socket, .path = "/run/redis.sock", .database = 2}));
  EXPECT_EQ(parsed("unix://ann:x@/run/redis.sock").user, "ann");
}

TEST(Address, RefusesTheRestAndNeverShowsAPassword) {
  const std::vector<std::string> broken{
      "",
      "localhost:6379",
      "http://h",
      "redis://",
      "redis://:6379",
      "redis://h:0",
      "redis://h:65536",
      "redis://h:x",
      "redis://h/x",
      "redis://h/-1",
      "redis://h/99999",
      "redis://h?db=1",
      "redis://[::1",
      "redis://[::1]x",
      "redis:// h",
      "redis://ann@h",
      "redis://:secret%4@h",
      "redis://:secret%zz@h",
      "redis://:secret@h:0",
      "redis://ann:secret@",
      "unix://",
      "unix:///s?x=1",
      "unix:///s?db=x",
      "unix://:secret@/s?db=x",
  };
  for (const std::string& each : broken) {
    const auto read = parse_address(each, "--redis");
    ASSERT_FALSE(read) << each;
    EXPECT_EQ(read.error().kind, errc::invalid_argument);
    EXPECT_EQ(read.error().field, "--redis");
    EXPECT_EQ(read.error().detail.find("secret"), std::string::npos) << read.error().detail;
  }
}

TEST(Address, IsShownWithoutItsPassword) {
  EXPECT_EQ(parsed("redis://ann:secret@h:1/2").text(), "redis://h:1/2");
  EXPECT_EQ(parsed("rediss://[::1]").text(), "rediss://[::1]:6379/0");
  EXPECT_EQ(parsed("unix://:secret@/s").text(), "unix:///s?db=0");
}

}  // namespace
}  // namespace millrace::redis
