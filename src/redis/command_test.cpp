#include <millrace/redis/command.hpp>

#include "allowed.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace millrace::redis {
namespace {

std::string wire(const command& what) {
  std::string out;
  what.write_to(out);
  EXPECT_LE(out.size(), what.wire_bytes());
  return out;
}

TEST(Command, IsWrittenAsAnArrayOfStrings) {
  const std::string binary{"a\r\n\0b", 5};
  EXPECT_EQ(wire(command{"PING"}), "*1\r\n$4\r\nPING\r\n");
  EXPECT_EQ(
      wire(command{"SET"}.key("k").arg(binary).arg(-1).arg(0.25).arg("")),
      "*6\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\n" + binary + "\r\n$2\r\n-1\r\n$4\r\n0.25\r\n$0\r\n\r\n");
  EXPECT_EQ(wire(command{"X"}.arg(std::numeric_limits<std::uint64_t>::max())),
            "*2\r\n$1\r\nX\r\n$20\r\n18446744073709551615\r\n");
}

TEST(Command, KnowsItsWords) {
  const command set = command{"set"}.key("k").arg("v");
  EXPECT_EQ(set.name(), "set");
  EXPECT_EQ(set.first_argument(), "k");
  EXPECT_EQ(set.words(), 3U);
  EXPECT_EQ(command{"PING"}.first_argument(), "");
}

// The values are those of CLUSTER KEYSLOT.
TEST(Command, KnowsItsSlot) {
  EXPECT_EQ(hash_slot("foo"), 12182);
  EXPECT_EQ(hash_slot("123456789"), 12739);
  EXPECT_EQ(hash_slot("{user1000}.following"), hash_slot("user1000"));
  EXPECT_EQ(hash_tag("foo{}{bar}"), "foo{}{bar}");
  EXPECT_EQ(hash_tag("foo{{bar}}zap"), "{bar");
  EXPECT_EQ(hash_tag("foo{bar}{zap}"), "bar");
  EXPECT_EQ(hash_tag("foo{bar"), "foo{bar");
  EXPECT_EQ(command{"GET"}.key("foo").slot(), 12182);
  EXPECT_FALSE(command{"PING"}.arg("foo").slot());
  EXPECT_TRUE(command{"MGET"}.key("{a}1").key("{a}2").keys_together());
  EXPECT_FALSE(command{"MGET"}.key("{a}1").key("{b}2").keys_together());
}

TEST(Command, SharedConnectionsRefuseWhatHoldsOthersUp) {
  const auto refused = [](const command& what, connection_use use) {
    const auto checked = check_allowed(what, use);
    return checked ? std::string{} : std::string{checked.error().code};
  };
  for (const char* name : {"BLPOP", "blmove", "Watch", "MULTI", "exec"}) {
    EXPECT_EQ(refused(command{name}, connection_use::shared), "command_needs_own_connection");
    EXPECT_EQ(refused(command{name}, connection_use::dedicated), "");
  }
  for (const char* name :
       {"SUBSCRIBE", "ssubscribe", "punsubscribe", "Hello", "SELECT", "monitor"}) {
    EXPECT_EQ(refused(command{name}, connection_use::shared), "command_of_the_connection");
    EXPECT_EQ(refused(command{name}, connection_use::dedicated), "command_of_the_connection");
  }
  EXPECT_NE(refused(command{"CLIENT"}.arg("reply").arg("OFF"), connection_use::dedicated), "");
  EXPECT_EQ(refused(command{"CLIENT"}.arg("ID"), connection_use::shared), "");
  EXPECT_EQ(refused(command{"XREAD"}.arg("COUNT").arg(1).arg("STREAMS").key("block").arg(0),
                    connection_use::shared),
            "");
  EXPECT_NE(refused(command{"XREAD"}.arg("Block").arg(1).arg("STREAMS").key("s").arg(0),
                    connection_use::shared),
            "");
}

TEST(Command, ABatchMayHoldAWholeTransaction) {
  const auto allowed = [](std::vector<command> batch) {
    return check_allowed(batch, connection_use::shared).has_value();
  };
  const auto of = [](std::vector<std::string> names) {
    std::vector<command> batch;
    for (const std::string& name : names) batch.emplace_back(name);
    return batch;
  };
  EXPECT_TRUE(allowed(of({"MULTI", "PING", "EXEC"})));
  EXPECT_TRUE(allowed(of({"MULTI", "DISCARD", "PING", "MULTI", "EXEC"})));
  EXPECT_FALSE(allowed(of({"MULTI", "PING"})));
  EXPECT_FALSE(allowed(of({"PING", "EXEC"})));
  EXPECT_FALSE(allowed(of({"MULTI", "EXEC", "EXEC"})));
  EXPECT_FALSE(allowed(of({"WATCH", "MULTI", "EXEC"})));
}

}  // namespace
}  // namespace millrace::redis
