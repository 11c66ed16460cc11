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

class ClaimCommands : public ::testing::Test {
protected:
  exit_code run(words args) {
    args.insert(args.begin(), "cache");
    return server_.world.run(std::move(args));
  }
  [[nodiscard]] std::string out() const { return server_.world.out.str(); }
  [[nodiscard]] std::string err() const { return server_.world.err.str(); }
  std::string claim() {
    EXPECT_EQ(run({"claim", "a/b", "--lease", "5s"}), exit_code::done) << err();
    std::string lease = out();
    if (!lease.empty()) lease.pop_back();
    return lease;
  }

  served server_;
};

TEST_F(ClaimCommands, LetOneLoadKeepAndGiveBack) {
  const std::string lease = claim();
  EXPECT_FALSE(lease.empty());
  EXPECT_EQ(run({"claim", "a/b"}), exit_code::failed);
  EXPECT_EQ(out(), "");
  EXPECT_EQ(err(), "somebody else is loading it\n");
  ASSERT_EQ(run({"renew", "a/b", lease, "--lease", "1m"}), exit_code::done) << err();
  EXPECT_TRUE(out().starts_with("until ")) << out();
  EXPECT_EQ(run({"renew", "a/b", lease, "--lease", "0s"}), exit_code::usage);
  EXPECT_EQ(run({"release", "a/b", lease}), exit_code::done) << err();
  EXPECT_EQ(run({"release", "a/b", lease}), exit_code::failed);
  EXPECT_NE(claim(), lease);
}

TEST_F(ClaimCommands, SayWhatThereIs) {
  (void)claim();
  EXPECT_EQ(run({"claim", "a/b", "--json"}), exit_code::failed);
  EXPECT_EQ(text_at(parse_json(out()).value(), "state"), "wait");
  EXPECT_EQ(run({"claim", "a/b", "--wait", "2m"}), exit_code::usage);
}

}  // namespace
}  // namespace millrace::cli
