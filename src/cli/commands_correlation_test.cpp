#include "at_a_server.hpp"
#include "json_view.hpp"

#include <millrace/base/json.hpp>

#include <boost/json/value.hpp>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace millrace::cli {
namespace {

using words = std::vector<std::string>;

class CorrelationCommand : public AtAServer {};

TEST_F(CorrelationCommand, ShowsJobsAndEvents) {
  ASSERT_EQ(run({"enqueue", "mail", "{}", "--type", "send", "--correlation-id", "c 1"}),
            exit_code::done)
      << err();
  ASSERT_EQ(run({"events", "publish", "flow", "mail.sent", "--correlation-id", "c 1"}),
            exit_code::done)
      << err();
  ASSERT_EQ(run({"correlation", "c 1"}), exit_code::done) << err();
  for (const char* part : {"mail", "send", "queued", "0/4", "flow", "mail.sent"}) {
    EXPECT_TRUE(holds(out(), part)) << part << " in\n" << out();
  }
  EXPECT_EQ(err(), "");
  ASSERT_EQ(run({"correlation", "c 1", "--json"}), exit_code::done);
  const auto body = parse_json(out());
  ASSERT_TRUE(body);
  EXPECT_EQ(items_at(*body, "jobs").size(), 1U);
  EXPECT_EQ(items_at(*body, "events").size(), 1U);
}

TEST_F(CorrelationCommand, SaysHowToSeeMore) {
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(run({"enqueue", "mail", "{}", "--correlation-id", "c"}), exit_code::done);
  }
  ASSERT_EQ(run({"correlation", "c", "--limit", "2"}), exit_code::done);
  EXPECT_TRUE(holds(err(), "There is more: --cursor ")) << err();
}

TEST_F(CorrelationCommand, SaysThatThereIsNothing) {
  EXPECT_EQ(run({"correlation", "no"}), exit_code::done);
  EXPECT_EQ(out(), "");
  EXPECT_EQ(err(), "Nothing that is kept carries it.\n");
  EXPECT_EQ(run({"correlation"}), exit_code::usage);
  EXPECT_EQ(run({"correlation", "c", "--limit", "0"}), exit_code::usage);
}

}  // namespace
}  // namespace millrace::cli
