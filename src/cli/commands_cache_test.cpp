#include "json_view.hpp"
#include "served.hpp"

#include <millrace/base/json.hpp>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace millrace::cli {
namespace {

using words = std::vector<std::string>;

class CacheCommands : public ::testing::Test {
protected:
  exit_code run(words args) {
    args.insert(args.begin(), "cache");
    return server_.world.run(std::move(args));
  }
  [[nodiscard]] std::string out() const { return server_.world.out.str(); }
  [[nodiscard]] std::string err() const { return server_.world.err.str(); }
  [[nodiscard]] json::value printed() const { return parse_json(out()).value(); }

  served server_;
};

TEST_F(CacheCommands, SetAndGetAValue) {
  ASSERT_EQ(run({"set", "user:7/a", R"({"name": "Ann"})", "--ttl", "90s"}), exit_code::done)
      << err();
  EXPECT_TRUE(out().starts_with("user:7/a version ")) << out();
  ASSERT_EQ(run({"get", "user:7/a"}), exit_code::done) << err();
  EXPECT_EQ(out(), R"({"name": "Ann"})");
  ASSERT_EQ(run({"get", "user:7/a", "--json"}), exit_code::done);
  EXPECT_EQ(text_at(printed(), "value.name"), "Ann");
  EXPECT_EQ(text_at(printed(), "content_type"), "application/json");
}

TEST_F(CacheCommands, EndWithThreeWhereThereIsNothing) {
  EXPECT_EQ(run({"get", "none"}), exit_code::not_found);
  EXPECT_FALSE(err().empty());
  EXPECT_EQ(run({"get", "none", "--json"}), exit_code::not_found);
  EXPECT_FALSE(flag_at(printed(), "found"));
}

TEST_F(CacheCommands, ReadAValueFromTheStandardInput) {
  server_.world.in.str(std::string("\0raw\n", 5));
  ASSERT_EQ(run({"set", "k", "-", "--content-type", "x/y"}), exit_code::done) << err();
  ASSERT_EQ(run({"get", "k"}), exit_code::done);
  EXPECT_EQ(out(), std::string("\0raw\n", 5));
}

TEST_F(CacheCommands, SetOnlyWhatIsExpected) {
  ASSERT_EQ(run({"set", "k", "1", "--if-absent", "--json"}), exit_code::done) << err();
  const std::string version = std::to_string(count_at(printed(), "version"));
  EXPECT_EQ(run({"set", "k", "2", "--if-absent"}), exit_code::failed);
  EXPECT_EQ(run({"set", "k", "2", "--if-version", version}), exit_code::done) << err();
  EXPECT_EQ(run({"set", "k", "3", "--if-version", version}), exit_code::failed);
}

TEST_F(CacheCommands, DeleteByKeyPatternAndTag) {
  for (const char* key : {"a:1", "a:2", "b", "c"}) {
    ASSERT_EQ(run({"set", key, "v", "--tag", key}), exit_code::done) << err();
  }
  ASSERT_EQ(run({"del", "b", "none"}), exit_code::done) << err();
  EXPECT_EQ(out(), "1 deleted\n");
  ASSERT_EQ(run({"del", "--pattern", "a:*"}), exit_code::done);
  EXPECT_EQ(out(), "2 deleted\n");
  ASSERT_EQ(run({"del", "--tag", "c"}), exit_code::done);
  EXPECT_EQ(out(), "invalidated\n");
  EXPECT_EQ(run({"get", "c"}), exit_code::not_found);
  EXPECT_EQ(run({"del"}), exit_code::usage);
  EXPECT_EQ(run({"del", "k", "--tag", "c"}), exit_code::usage);
}

TEST_F(CacheCommands, ShowWhatThereIs) {
  ASSERT_EQ(run({"set", "user:7", "v"}), exit_code::done);
  ASSERT_EQ(run({"get", "user:7"}), exit_code::done);
  ASSERT_EQ(run({"ls", "user:*"}), exit_code::done) << err();
  EXPECT_NE(out().find("user:7"), std::string::npos);
  ASSERT_EQ(run({"stats"}), exit_code::done);
  EXPECT_NE(out().find("hit rate     100.0 %"), std::string::npos) << out();
  ASSERT_EQ(run({"top"}), exit_code::done);
  EXPECT_NE(out().find("1  user:7"), std::string::npos) << out();
  ASSERT_EQ(run({"stats", "--json"}), exit_code::done);
  EXPECT_EQ(count_at(printed(), "entries"), 1U);
  ASSERT_EQ(run({"clear", "--yes"}), exit_code::done) << err();
  EXPECT_EQ(out(), "1 deleted\n");
  EXPECT_EQ(run({"ls"}), exit_code::done);
  EXPECT_EQ(out(), "");
}

TEST_F(CacheCommands, NameTheOptionThatIsWrong) {
  EXPECT_EQ(run({"set", "k", "v", "--ttl", "0s"}), exit_code::usage);
  EXPECT_TRUE(err().starts_with("millrace: --ttl: ttl must be")) << err();
  EXPECT_EQ(run({"set", "k", "v", "--ttl", "soon"}), exit_code::usage);
  EXPECT_EQ(run({"set", "k", "v", "--lease", "x"}), exit_code::usage);
  EXPECT_TRUE(err().starts_with("millrace: --lease")) << err();
}

}  // namespace
}  // namespace millrace::cli
