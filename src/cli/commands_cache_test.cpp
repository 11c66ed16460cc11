#include "json_view.hpp"
#include "served.hpp"

#include <millrace/base/json.hpp>
#include <millrace/cache/declared_cache.hpp>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <utility>
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

TEST_F(CacheCommands, RememberThatThereIsNothing) {
  EXPECT_EQ(run({"set", "k"}), exit_code::usage);
  EXPECT_EQ(run({"set", "k", "v", "--nothing"}), exit_code::usage);
  EXPECT_EQ(run({"set", "k", "--nothing"}), exit_code::usage) << "nobody says how long";
  ASSERT_EQ(run({"set", "k", "--nothing", "--ttl", "5m"}), exit_code::done) << err();
  EXPECT_EQ(run({"get", "k"}), exit_code::not_found);
  EXPECT_NE(err().find("It is known that there is nothing"), std::string::npos) << err();
  EXPECT_EQ(run({"get", "k", "--json"}), exit_code::done);
  EXPECT_TRUE(flag_at(printed(), "nothing"));
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
  EXPECT_NE(out().find("1       0  user:7"), std::string::npos) << out();
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

TEST_F(CacheCommands, NameTheYearWhereATimeIsTooLong) {
  for (const char* span : {"400d", "soon", "40000d"}) {
    EXPECT_EQ(run({"set", "k", "v", "--ttl", span}), exit_code::usage);
    EXPECT_NE(err().find("at most a year"), std::string::npos) << err();
    EXPECT_EQ(err().find("36500"), std::string::npos) << err();
  }
}

class FamilyCommands : public CacheCommands {
protected:
  static cache::declared_cache declare() {
    using std::chrono::seconds;
    return {.families = std::move(
                *cache::family_set::make({{.name = "user",
                                           .pattern = "user:{user_id}",
                                           .ttl = seconds{900},
                                           .tags = {"user {user_id}"},
                                           .compress_above = 1024,
                                           .stale_if_error = seconds{60},
                                           .warm = 5}},
                                         {{.name = "user", .removes = {"user:{user_id}"}}}))};
  }

  exit_code run_there(words args) {
    args.insert(args.begin(), "cache");
    return there_.world.run(std::move(args));
  }
  [[nodiscard]] std::string said() const { return there_.world.out.str(); }

  cache::declared_cache declared_{declare()};
  served there_{{.declared = &declared_}};
};

TEST_F(FamilyCommands, ShowFamiliesAndRules) {
  ASSERT_EQ(run_there({"families"}), exit_code::done) << there_.world.err.str();
  for (const char* text : {"user:{user_id}", "user {user_id}", "compressed from 1024 B",
                           "stale if error 1m", "warms 5", "RULE"}) {
    EXPECT_NE(said().find(text), std::string::npos) << text << "\n" << said();
  }
  ASSERT_EQ(run_there({"families", "--json"}), exit_code::done);
  const json::value all = parse_json(said()).value();
  EXPECT_EQ(text_at(items_at(all, "families").at(0), "family"), "user");
  ASSERT_EQ(run({"families"}), exit_code::done);
  EXPECT_NE(err().find("No family"), std::string::npos);
}

TEST_F(FamilyCommands, ShowNumbersByFamily) {
  (void)run_there({"set", "user:7", "v"});
  (void)run_there({"get", "user:7"});
  (void)run_there({"get", "other"});
  ASSERT_EQ(run_there({"stats"}), exit_code::done);
  EXPECT_NE(said().find("FAMILY"), std::string::npos) << said();
  EXPECT_NE(said().find("user"), std::string::npos);
  ASSERT_EQ(run_there({"top"}), exit_code::done);
  EXPECT_NE(said().find("user    user:7"), std::string::npos) << said();
  ASSERT_EQ(run_there({"top", "--family", "user"}), exit_code::done);
  EXPECT_EQ(said().find("other"), std::string::npos) << said();
  EXPECT_EQ(run_there({"stats", "--family", "none"}), exit_code::usage);
}

TEST_F(FamilyCommands, ForgetWhatARuleSays) {
  (void)run_there({"set", "user:7", "v"});
  ASSERT_EQ(run_there({"del", "--rule", "user", "--part", "user_id=7"}), exit_code::done)
      << there_.world.err.str();
  EXPECT_EQ(said(), "1 deleted, 0 tags invalidated\n");
  EXPECT_EQ(run_there({"get", "user:7"}), exit_code::not_found);
  EXPECT_EQ(run_there({"del", "--rule", "user"}), exit_code::usage);
  EXPECT_EQ(run_there({"del", "--rule", "none"}), exit_code::usage);
  EXPECT_EQ(run_there({"del", "--part", "user_id=7", "--tag", "a"}), exit_code::usage);
  EXPECT_EQ(run_there({"del", "--rule", "user", "--part", "user_id"}), exit_code::usage);
}

}  // namespace
}  // namespace millrace::cli
