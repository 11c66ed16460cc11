#include "at_a_server.hpp"
#include "json_view.hpp"

#include <millrace/base/json.hpp>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <gtest/gtest.h>

#include <string>

namespace millrace::cli {
namespace {

using words = std::vector<std::string>;

class LimitCommands : public AtAServer {};

TEST_F(LimitCommands, CheckEndsWithOneWhenALimitRefuses) {
  const words check{"limit", "check", "user=42", "--limit", "2/1h"};
  EXPECT_EQ(run(check), exit_code::done) << err();
  EXPECT_NE(out().find("user"), std::string::npos);
  EXPECT_EQ(run(check), exit_code::done);
  EXPECT_EQ(run(check), exit_code::failed);
  EXPECT_NE(out().find("refuses for"), std::string::npos) << out();
  EXPECT_NE(err().find("The limit of 2 by user is reached"), std::string::npos) << err();
}

TEST_F(LimitCommands, TopNamesWhoTakesMost) {
  EXPECT_EQ(run({"limit", "top"}), exit_code::done);
  EXPECT_NE(err().find("No limit has been asked for"), std::string::npos) << err();
  run({"limit", "check", "--policy", "default", "user=42", "--cost", "60"});
  run({"limit", "check", "--policy", "default", "user=42", "--cost", "60"});
  EXPECT_EQ(run({"limit", "top", "--json"}), exit_code::done);
  EXPECT_EQ(run({"limit", "top"}), exit_code::done);
  EXPECT_NE(out().find("60  used     default  user   42"), std::string::npos) << out();
  EXPECT_NE(out().find("1  refused  default  user   42"), std::string::npos) << out();
}

TEST_F(LimitCommands, CheckTakesAPolicyAndACost) {
  EXPECT_EQ(run({"limit", "check", "--policy", "default", "user=42", "--cost", "60", "--json"}),
            exit_code::done)
      << err();
  EXPECT_EQ(count_at(items_at(printed(), "limits").at(0), "remaining"), 40U);
  EXPECT_EQ(run({"limit", "check", "--policy", "default", "user=42", "--cost", "60", "--json"}),
            exit_code::failed);
  EXPECT_EQ(text_at(printed(), "code"), "limit_reached");
  EXPECT_EQ(err(), "");
  EXPECT_EQ(run({"limit", "check", "--policy", "default", "ip=10.0.0.1"}), exit_code::done);
}

TEST_F(LimitCommands, CheckTakesEveryAlgorithm) {
  for (const words& options :
       {words{"--limit", "5/s"}, words{"--limit", "5/1m", "--algorithm", "fixed"},
        words{"--limit", "60/1m", "--algorithm", "token_bucket", "--burst", "3"},
        words{"--limit", "100000/daily", "--time-zone", "Europe/Rome", "--cost", "1300"},
        words{"--limit", "7/monthly"}}) {
    words args{"limit", "check", "user=42"};
    args.insert(args.end(), options.begin(), options.end());
    EXPECT_EQ(run(args), exit_code::done) << options[1] << ": " << err();
  }
}

TEST_F(LimitCommands, PeekChargesNothingAndResetForgets) {
  const words limit{"user=42", "--limit", "1/1h"};
  const auto with = [&limit](std::string verb) {
    words args{"limit", std::move(verb)};
    args.insert(args.end(), limit.begin(), limit.end());
    return args;
  };
  EXPECT_EQ(run(with("peek")), exit_code::done);
  EXPECT_EQ(run(with("check")), exit_code::done);
  EXPECT_EQ(run(with("peek")), exit_code::failed);
  EXPECT_EQ(err(), "") << "a look is no complaint";
  EXPECT_EQ(run(with("reset")), exit_code::done);
  EXPECT_EQ(run(with("check")), exit_code::done);
}

TEST_F(LimitCommands, TakeRenewAndReleaseAPermit) {
  const words limit{"user=42", "--at-once", "1", "--ttl", "1m"};
  const auto with = [&limit](std::string verb, words more) {
    words args{"limit", std::move(verb)};
    args.insert(args.end(), limit.begin(), limit.end());
    args.insert(args.end(), more.begin(), more.end());
    return args;
  };
  EXPECT_EQ(run(with("check", {"--json"})), exit_code::done) << err();
  const std::string permit = std::to_string(count_at(printed(), "permit"));
  EXPECT_EQ(run(with("check", {})), exit_code::failed);
  EXPECT_EQ(run(with("renew", {"--permit", permit})), exit_code::done) << err();
  EXPECT_NE(out().find("permit " + permit), std::string::npos) << out();
  EXPECT_EQ(run(with("release", {"--permit", permit})), exit_code::done) << err();
  EXPECT_EQ(run(with("release", {"--permit", permit})), exit_code::failed);
  EXPECT_NE(err().find("The permit is not held"), std::string::npos) << err();
  EXPECT_EQ(run(with("check", {})), exit_code::done);
  EXPECT_NE(out().find("unless it is renewed"), std::string::npos) << out();
}

TEST_F(LimitCommands, BlockAndUnblock) {
  EXPECT_EQ(run({"limit", "block", "user=42", "--for", "10m"}), exit_code::done) << err();
  EXPECT_NE(out().find("user 42 is blocked until"), std::string::npos) << out();
  EXPECT_EQ(run({"limit", "peek", "user=42", "--limit", "5/1m"}), exit_code::failed);
  EXPECT_NE(out().find("blocked for"), std::string::npos) << out();
  EXPECT_EQ(run({"limit", "check", "user=42", "--limit", "5/1m"}), exit_code::failed);
  EXPECT_NE(err().find("This user is blocked until"), std::string::npos) << err();
  EXPECT_EQ(run({"limit", "unblock", "user=42", "--json"}), exit_code::done) << err();
  EXPECT_FALSE(flag_at(printed(), "blocked"));
  EXPECT_EQ(run({"limit", "check", "user=42", "--limit", "5/1m"}), exit_code::done);
}

TEST_F(LimitCommands, ListWhoIsShutOut) {
  EXPECT_EQ(run({"limit", "blocks"}), exit_code::done) << err();
  EXPECT_NE(err().find("Nobody is shut out"), std::string::npos) << err();
  EXPECT_EQ(run({"limit", "block", "user=42", "--for", "10m"}), exit_code::done);
  EXPECT_EQ(run({"limit", "block", "ip=10.0.0.1", "--for", "1h"}), exit_code::done);
  EXPECT_EQ(run({"limit", "blocks"}), exit_code::done) << err();
  EXPECT_LT(out().find("10.0.0.1"), out().find("42")) << out();
  EXPECT_EQ(run({"limit", "blocks", "--scope", "user", "--json"}), exit_code::done);
  EXPECT_EQ(items_at(printed(), "blocks").size(), 1U);
  EXPECT_EQ(run({"limit", "blocks", "--limit", "1"}), exit_code::done);
  EXPECT_NE(err().find("--cursor"), std::string::npos) << err();
  EXPECT_EQ(run({"limit", "blocks", "--scope", "a b"}), exit_code::usage);
  EXPECT_TRUE(err().starts_with("millrace: --scope: ")) << err();
}

TEST_F(LimitCommands, RefundGivesBack) {
  const words limit{"user=42", "--limit", "10/1h"};
  const auto with = [&limit](std::string verb, words more) {
    words args{"limit", std::move(verb)};
    args.insert(args.end(), limit.begin(), limit.end());
    args.insert(args.end(), more.begin(), more.end());
    return args;
  };
  EXPECT_EQ(run(with("check", {"--cost", "7", "--json"})), exit_code::done);
  const std::string at = text_at(printed(), "at");
  EXPECT_EQ(run(with("refund", {"--cost", "5", "--taken-at", at, "--json"})), exit_code::done)
      << err();
  EXPECT_EQ(count_at(items_at(printed(), "limits").at(0), "count"), 2U);
  EXPECT_EQ(run(with("refund", {})), exit_code::done) << err();
  EXPECT_NE(out().find("user"), std::string::npos) << out();
  EXPECT_EQ(run(with("peek", {"--json"})), exit_code::done);
  EXPECT_EQ(count_at(items_at(printed(), "limits").at(0), "count"), 1U);
}

TEST_F(LimitCommands, SettleKeepsWhatWasUsed) {
  EXPECT_EQ(run({"limit", "check", "--policy", "default", "user=42", "--cost", "60"}),
            exit_code::done);
  const auto settled = [this](words limits, std::string reserved, std::string used) {
    words args{"limit",  "settle",       "user=42", "--json", "--reserved", std::move(reserved),
               "--used", std::move(used)};
    args.insert(args.end(), limits.begin(), limits.end());
    EXPECT_EQ(run(std::move(args)), exit_code::done) << err();
    return count_at(items_at(printed(), "limits").at(0), "count");
  };
  EXPECT_EQ(settled({"--policy", "default"}, "60", "15"), 15U);
  EXPECT_EQ(settled({"--policy", "default"}, "15", "200"), 100U) << "as far as the limit goes";
  EXPECT_EQ(count_at(printed(), "granted"), 85U);
  const words own{"--limit", "1000/daily"};
  EXPECT_EQ(run({"limit", "check", "user=42", "--limit", "1000/daily", "--cost", "400"}),
            exit_code::done);
  EXPECT_EQ(settled(own, "400", "0"), 0U);
  EXPECT_EQ(settled(own, "1", "1"), 0U);
  EXPECT_EQ(settled(own, "1", "301"), 300U);
  const auto told = [this](std::string reserved, std::string used) {
    EXPECT_EQ(run({"limit", "settle", "user=42", "--limit", "1000/daily", "--reserved",
                   std::move(reserved), "--used", std::move(used)}),
              exit_code::done)
        << err();
    return out();
  };
  EXPECT_NE(told("300", "100").find("\n200 given back\n"), std::string::npos) << out();
  EXPECT_NE(told("100", "2000").find("\n900 of 1,900 more charged\n"), std::string::npos) << out();
}

TEST_F(LimitCommands, CheckTakesAPartWhereThatIsEnough) {
  const words part{"limit", "check", "user=42", "--limit", "5/1m", "--cost", "3", "--partial"};
  EXPECT_EQ(run(part), exit_code::done) << err();
  EXPECT_EQ(run(part), exit_code::done);
  EXPECT_NE(out().find("granted 2"), std::string::npos) << out();
  EXPECT_EQ(run(part), exit_code::failed);
}

TEST_F(LimitCommands, NameWhatWasTypedWrong) {
  const std::pair<words, std::string_view> cases[] = {
      {{"limit", "check", "user=42"}, "--policy: say which limits"},
      {{"limit", "check", "user=42", "--policy", "p", "--limit", "1/s"}, "--policy: say which"},
      {{"limit", "check", "user", "--limit", "1/s"}, "PART: 'user' says not whose"},
      {{"limit", "check", "--limit", "1/s"}, "PART: without --policy, name exactly one"},
      {{"limit", "check", "user=42", "--limit", "often"}, "--limit: 'often' is no limit"},
      {{"limit", "check", "user=42", "--limit", "1/0s"}, "--limit: checks[0].window must be"},
      {{"limit", "check", "user=42", "--limit", "1/s", "--cost", "0"}, "--cost: '0' is not"},
      {{"limit", "check", "user=42", "--limit", "1/s", "--cost", "2"},
       "--cost: cost is 2, more than"},
      {{"limit", "check", "user=42", "--limit", "1/s", "--at-once", "2"}, "--policy: say which"},
      {{"limit", "check", "user=42", "--at-once", "0"}, "--at-once: '0' is not"},
      {{"limit", "check", "user=42", "--at-once", "2", "--ttl", "25h"}, "--ttl: "},
      {{"limit", "release", "user=42", "--at-once", "2"}, "--permit: say which"},
      {{"limit", "block", "user=42"}, "--for: "},
      {{"limit", "settle", "user=42", "--policy", "default", "--used", "1"}, "--reserved: say"},
      {{"limit", "settle", "user=42", "--policy", "default", "--reserved", "1"}, "--used: say"},
      {{"limit", "refund", "user=42", "--policy", "default", "--taken-at", "soon"},
       "--taken-at: taken_at must be"},
      {{"limit", "block", "user", "--for", "1m"}, "PART: 'user' says not whose"},
      {{"limit", "check", "--policy", "default"}, "user: the policy default limits by user"},
      {{"limit", "check", "user=42", "--limit", "9/daily", "--time-zone", "Mars"},
       "--time-zone: unknown"},
  };
  for (const auto& [args, told] : cases) {
    EXPECT_EQ(run(args), exit_code::usage) << told;
    EXPECT_TRUE(err().starts_with("millrace: " + std::string{told})) << err();
  }
  EXPECT_EQ(run({"limit", "check", "--policy", "none", "user=42"}), exit_code::not_found);
}

}  // namespace
}  // namespace millrace::cli
