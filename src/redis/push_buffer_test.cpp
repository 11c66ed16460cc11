#include <millrace/redis/push_buffer.hpp>

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace millrace::redis {
namespace {

reply text_reply(std::string text) {
  const detail::reply_node node{.size = static_cast<std::uint32_t>(text.size()),
                                .kind = reply_kind::bulk};
  return {node, {}, std::move(text)};
}

TEST(PushBuffer, DropsTheOldestAndCountsIt) {
  push_buffer buffer{2};
  for (const char* each : {"a", "b", "c"}) buffer.add(text_reply(each));
  EXPECT_EQ(buffer.dropped(), 1U);
  const auto kept = buffer.take();
  ASSERT_EQ(kept.size(), 2U);
  EXPECT_EQ(kept[0].text(), "b");
  EXPECT_EQ(kept[1].text(), "c");
  EXPECT_TRUE(buffer.take().empty());
}

TEST(PushBuffer, OfNoSizeCountsAlone) {
  push_buffer buffer{0};
  buffer.add(text_reply("a"));
  EXPECT_EQ(buffer.dropped(), 1U);
  EXPECT_TRUE(buffer.take().empty());
}

}  // namespace
}  // namespace millrace::redis
