#include "limit_fixture.hpp"

/// Who is shut out, in order.
namespace millrace::conformance {
namespace {

class listing_test : public limit_test {
protected:
  /// All of them, page by page.
  std::vector<blocked_id> all(list_limit_blocks what = {}) {
    std::vector<blocked_id> out;
    for (int pages = 0; pages < 1000; ++pages) {
      const limit_block_page page = ask(what);
      EXPECT_LE(page.items.size(), what.limit);
      out.insert(out.end(), page.items.begin(), page.items.end());
      what.cursor = page.cursor;
      if (page.cursor.empty()) return out;
    }
    ADD_FAILURE() << "the listing has no end";
    return out;
  }
  std::string names(list_limit_blocks what = {}) {
    std::string out;
    for (const blocked_id& each : all(std::move(what))) {
      out.append(out.empty() ? "" : " ").append(each.scope).append(1, '=').append(each.id);
    }
    return out;
  }
};

class LimitBlockListing : public listing_test {};
INSTANTIATE_TEST_SUITE_P(Engine, LimitBlockListing, ::testing::ValuesIn(engines_under_test()),
                         case_name);

TEST_P(LimitBlockListing, IsInTheOrderOfScopesAndIds) {
  EXPECT_TRUE(ask(list_limit_blocks{}).items.empty());
  for (const char* id : {"b", "a:c", "a", "a!", "\xc3\xa4", "B"}) block(id, 1h);
  block("10.0.0.1", 5min, "ip");
  block("z", 5min, "user-x");
  run(block_limit{.project = "other", .scope = "ip", .whose = "1", .length = 1h});
  EXPECT_EQ(names(), "ip=10.0.0.1 user=B user=a user=a! user=a:c user=b user=\xc3\xa4 user-x=z");
  EXPECT_EQ(names({.project = "other"}), "ip=1");
  EXPECT_EQ(names({.project = "othe"}), "");
  EXPECT_EQ(all().front(), (blocked_id{"ip", "10.0.0.1", now() + 5min}));
}

TEST_P(LimitBlockListing, GoesPageByPage) {
  for (int i = 0; i < 25; ++i) block(std::string(1, static_cast<char>('a' + i)), 1h);
  for (const std::uint32_t limit : {1U, 2U, 7U, 24U, 25U, 26U, 1000U}) {
    EXPECT_EQ(all({.limit = limit}).size(), 25U) << limit;
  }
  const limit_block_page page = ask(list_limit_blocks{.limit = 3});
  ASSERT_EQ(page.items.size(), 3U);
  EXPECT_EQ(page.items.back().id, "c");
  EXPECT_FALSE(page.cursor.empty());
  EXPECT_EQ(ask(list_limit_blocks{.limit = 25}).cursor, "") << "nothing is behind the last";
  // What the cursor stands at may go away.
  block("c", 0s);
  EXPECT_EQ(all({.cursor = page.cursor}).front().id, "d");
}

TEST_P(LimitBlockListing, MayBeOfOneScope) {
  for (const char* scope : {"ip", "user", "user2", "use"}) {
    block("a", 1h, scope);
    block("b", 1h, scope);
  }
  EXPECT_EQ(names({.scope = "user"}), "user=a user=b");
  EXPECT_EQ(names({.scope = "user", .limit = 1}), "user=a user=b");
  EXPECT_EQ(names({.scope = "none"}), "");
  EXPECT_EQ(names({.scope = "user", .cursor = "@ip:a"}), "user=a user=b");
  EXPECT_EQ(names({.scope = "ip", .cursor = "@user:a"}), "");
}

TEST_P(LimitBlockListing, ShowsOnlyThoseThatLast) {
  block("a", 10s);
  block("b", 20s);
  block("c", 1h);
  block("d", 1h);
  EXPECT_EQ(names(), "user=a user=b user=c user=d");
  advance(10s);
  EXPECT_EQ(names(), "user=b user=c user=d");
  block("c", 0s);
  run(reset_limits{.checks = {per_minute(1, "d")}});
  EXPECT_EQ(names(), "user=b");
  block("b", 30s);
  advance(29s);
  EXPECT_EQ(all().at(0), (blocked_id{"user", "b", now() + 1s}));
  advance(1s);
  EXPECT_EQ(names(), "");
  block("a", 1s);
  EXPECT_EQ(names(), "user=a");
}

TEST_P(LimitBlockListing, HasThoseThatAPenaltyShutOut) {
  const limit_check what = with_penalty(per_minute(1), 1, 10min);
  EXPECT_TRUE(allows(what));
  EXPECT_FALSE(allows(what));
  EXPECT_EQ(all().at(0), (blocked_id{"user", "42", now() + 10min}));
}

TEST_P(LimitBlockListing, RefusesACursorThatIsNone) {
  for (const char* cursor : {"x", "@", "@user", "user:1"}) {
    EXPECT_EQ(word_of(list_limit_blocks{.cursor = cursor}), "bad_cursor") << cursor;
  }
}

}  // namespace
}  // namespace millrace::conformance
