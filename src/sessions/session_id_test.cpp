#include <millrace/sessions/session_id.hpp>

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace millrace::sessions {
namespace {

TEST(SessionId, IsNeverTheSame) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = new_session_id();
    EXPECT_TRUE(is_session_id(id)) << id;
    EXPECT_NE(id.front(), '-');
    EXPECT_TRUE(seen.insert(id).second);
  }
  EXPECT_FALSE(is_session_id(""));
  EXPECT_FALSE(is_session_id(std::string(42, 'a')));
  EXPECT_FALSE(is_session_id(std::string(42, 'a') + "+"));
}

// The first is that of FIPS 180-2 for "abc".
TEST(SessionId, IsKeptAsItsHash) {
  EXPECT_EQ(hash_of_session_id("abc"), "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
  const std::string id = new_session_id();
  EXPECT_TRUE(is_session_id(hash_of_session_id(id)));
  EXPECT_NE(hash_of_session_id(id), id);
  EXPECT_EQ(hash_of_session_id(id), hash_of_session_id(id));
}

}  // namespace
}  // namespace millrace::sessions
