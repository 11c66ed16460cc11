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

class SessionCommands : public ::testing::Test {
protected:
  exit_code run(words args) {
    args.insert(args.begin(), "session");
    return server_.world.run(std::move(args));
  }
  std::string begin(words options = {}) {
    options.insert(options.begin(), "begin");
    EXPECT_EQ(run(options), exit_code::done) << err();
    std::string id = out();
    id.pop_back();
    return id;
  }
  [[nodiscard]] std::string out() const { return server_.world.out.str(); }
  [[nodiscard]] std::string err() const { return server_.world.err.str(); }
  [[nodiscard]] json::value printed() const { return parse_json(out()).value(); }

  served server_;
};

TEST_F(SessionCommands, BeginShowSetAndEnd) {
  const std::string id = begin({"--user", "42", "--label", "Firefox", "--data", R"({"a":1})"});
  EXPECT_EQ(id.size(), 43U);
  EXPECT_TRUE(err().starts_with("ref ")) << err();
  ASSERT_EQ(run({"show", id}), exit_code::done) << err();
  EXPECT_NE(out().find("user      42\n"), std::string::npos) << out();
  EXPECT_NE(out().find("data      {\"a\":1}\n"), std::string::npos) << out();
  ASSERT_EQ(run({"set", id, R"({"b":2})", "--if-version", "1", "--json"}), exit_code::done);
  EXPECT_EQ(json_text(*member(printed(), "data")), R"({"a":1,"b":2})");
  EXPECT_EQ(run({"set", id, R"({"b":3})", "--if-version", "1"}), exit_code::failed);
  ASSERT_EQ(run({"set", id, "{}", "--replace", "--json"}), exit_code::done);
  EXPECT_EQ(json_text(*member(printed(), "data")), "{}");
  EXPECT_EQ(run({"set", id, "[1]"}), exit_code::usage);
  EXPECT_EQ(run({"end", id}), exit_code::done) << err();
  EXPECT_EQ(run({"show", id}), exit_code::not_found);
  EXPECT_EQ(run({"end", id}), exit_code::not_found);
}

TEST_F(SessionCommands, ReadAnIdThatNobodyElseSees) {
  const std::string id = begin();
  server_.world.in.str(id + "\n");
  EXPECT_EQ(run({"show", "-", "--peek"}), exit_code::done) << err();
}

TEST_F(SessionCommands, GiveAnotherId) {
  const std::string id = begin();
  ASSERT_EQ(run({"rotate", id, "--user", "42", "--data", R"({"role":"admin"})", "--json"}),
            exit_code::done)
      << err();
  EXPECT_EQ(text_at(printed(), "user"), "42");
  const std::string another = text_at(printed(), "id");
  EXPECT_NE(another, id);
  EXPECT_EQ(run({"show", id}), exit_code::not_found);
  EXPECT_EQ(run({"show", another}), exit_code::done);
  EXPECT_EQ(run({"rotate", another, "--grace", "1h"}), exit_code::usage);
}

TEST_F(SessionCommands, ListAndRevoke) {
  const std::string first = begin({"--user", "42"});
  (void)begin({"--user", "42", "--label", "phone"});
  (void)begin({"--user", "7"});
  ASSERT_EQ(run({"ls", "42"}), exit_code::done) << err();
  EXPECT_NE(out().find("phone"), std::string::npos) << out();
  EXPECT_EQ(out().find(first), std::string::npos);
  EXPECT_EQ(err(), "2 in all\n");
  ASSERT_EQ(run({"ls", "42", "--newest", "--limit", "1", "--json"}), exit_code::done);
  EXPECT_EQ(text_at(items_at(printed(), "sessions").at(0), "label"), "phone");
  ASSERT_EQ(run({"ls", "42", "--json"}), exit_code::done);
  const std::string ref = std::to_string(count_at(items_at(printed(), "sessions").at(0), "ref"));
  ASSERT_EQ(run({"revoke", "42", "--except", ref}), exit_code::done) << err();
  EXPECT_EQ(out(), "1 ended\n");
  EXPECT_EQ(run({"show", first}), exit_code::done);
  ASSERT_EQ(run({"revoke", "42", "--json"}), exit_code::done);
  EXPECT_EQ(count_at(printed(), "ended"), 1U);
  EXPECT_EQ(run({"ls", "42"}), exit_code::done);
  EXPECT_EQ(err(), "No sessions.\n");
}

TEST_F(SessionCommands, KeepToSoManyOfAUser) {
  (void)begin({"--user", "42", "--max-per-user", "1"});
  EXPECT_EQ(run({"begin", "--user", "42", "--max-per-user", "1", "--refuse"}), exit_code::failed);
  (void)begin({"--user", "42", "--max-per-user", "1"});
  EXPECT_NE(err().find("1 older session has ended\n"), std::string::npos) << err();
  EXPECT_EQ(run({"begin", "--idle", "0s"}), exit_code::usage);
}

}  // namespace
}  // namespace millrace::cli
