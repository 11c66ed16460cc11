#include "json_view.hpp"
#include "served.hpp"

#include <millrace/base/json.hpp>

#include <boost/json/value.hpp>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace millrace::cli {
namespace {

using words = std::vector<std::string>;

class GroupCommands : public ::testing::Test {
protected:
  exit_code run(words args) {
    args.insert(args.begin(), "events");
    return server_.world.run(std::move(args));
  }
  void publish(const std::string& type) {
    ASSERT_EQ(run({"publish", "flow", type}), exit_code::done) << err();
  }
  [[nodiscard]] std::string out() const { return server_.world.out.str(); }
  [[nodiscard]] std::string err() const { return server_.world.err.str(); }
  [[nodiscard]] json::value printed() const { return parse_json(out()).value(); }

  served server_;
};

TEST_F(GroupCommands, ReadAndAcknowledge) {
  publish("one");
  publish("two");
  ASSERT_EQ(run({"read", "flow", "--group", "g", "--consumer", "a", "--max", "1"}), exit_code::done)
      << err();
  EXPECT_NE(out().find("  1  one  null\n"), std::string::npos) << out();
  EXPECT_EQ(run({"ack", "flow", "1", "--group", "g", "--consumer", "a"}), exit_code::done) << err();
  EXPECT_EQ(out(), "1 done, 0 pending\n");
  EXPECT_EQ(run({"ack", "flow", "1", "--group", "g", "--consumer", "a"}), exit_code::failed);
  ASSERT_EQ(run({"read", "flow", "--group", "g", "--ack", "--json"}), exit_code::done);
  EXPECT_EQ(text_at(items_at(printed(), "events").at(0), "type"), "two");
  ASSERT_EQ(run({"groups", "flow", "--json"}), exit_code::done);
  EXPECT_EQ(count_at(items_at(printed(), "groups").at(0), "pending"), 0);
  ASSERT_EQ(run({"read", "flow", "--group", "g"}), exit_code::done);
  EXPECT_EQ(out(), "");
  EXPECT_EQ(err(), "Nothing to read.\n");
}

TEST_F(GroupCommands, GiveBackAndShowWhatIsPending) {
  publish("one");
  ASSERT_EQ(run({"read", "flow", "--group", "g", "--consumer", "a"}), exit_code::done);
  ASSERT_EQ(run({"pending", "flow", "g"}), exit_code::done) << err();
  EXPECT_NE(out().find("1  a"), std::string::npos) << out();
  EXPECT_EQ(run({"release", "flow", "1", "--group", "g", "--consumer", "a"}), exit_code::done);
  ASSERT_EQ(run({"read", "flow", "--group", "g", "--consumer", "b"}), exit_code::done);
  EXPECT_NE(out().find("one (delivery 2)"), std::string::npos) << out();
  EXPECT_EQ(run({"pending", "flow", "none"}), exit_code::not_found);
}

TEST_F(GroupCommands, MakeMoveAndDelete) {
  publish("one");
  ASSERT_EQ(run({"group-set", "flow", "g", "--from", "latest"}), exit_code::done) << err();
  EXPECT_EQ(out(), "behind 1, 0 pending, 0 waiting\n");
  ASSERT_EQ(run({"group-set", "flow", "g", "--from", "earliest", "--move"}), exit_code::done);
  EXPECT_EQ(out(), "behind 0, 0 pending, 1 waiting\n");
  ASSERT_EQ(run({"groups", "flow"}), exit_code::done);
  EXPECT_NE(out().find("GROUP"), std::string::npos) << out();
  EXPECT_EQ(run({"group-rm", "flow", "g"}), exit_code::done);
  EXPECT_EQ(run({"group-rm", "flow", "g"}), exit_code::not_found);
}

TEST_F(GroupCommands, SayWhatIsWrong) {
  EXPECT_EQ(run({"read", "flow"}), exit_code::usage);
  EXPECT_EQ(run({"read", "flow", "--group", "g", "--max", "0"}), exit_code::usage);
  EXPECT_EQ(run({"ack", "flow", "x", "--group", "g"}), exit_code::usage);
  EXPECT_EQ(run({"ack", "flow", "1", "--group", "g"}), exit_code::not_found);
}

}  // namespace
}  // namespace millrace::cli
