#include <millrace/locks/fence_guard.hpp>

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>

namespace millrace {
namespace {

class FenceGuard : public testing::Test {
protected:
  FenceGuard() {
    sqlite3* opened = nullptr;
    EXPECT_EQ(sqlite3_open(":memory:", &opened), SQLITE_OK);
    db_.reset(opened);
    run(guard_.create());
    run(guard_.create());
  }
  void run(const std::string& sql) {
    EXPECT_EQ(sqlite3_exec(db_.get(), sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(db_.get());
  }
  [[nodiscard]] bool passes(const std::string& resource, std::int64_t fence) {
    sqlite3_stmt* prepared = nullptr;
    EXPECT_EQ(sqlite3_prepare_v2(db_.get(), guard_.pass().c_str(), -1, &prepared, nullptr),
              SQLITE_OK)
        << sqlite3_errmsg(db_.get());
    sqlite3_bind_text(prepared, 1, resource.data(), static_cast<int>(resource.size()),
                      SQLITE_TRANSIENT);
    sqlite3_bind_int64(prepared, 2, fence);
    const bool row = sqlite3_step(prepared) == SQLITE_ROW;
    sqlite3_finalize(prepared);
    return row;
  }

  struct closer {
    void operator()(sqlite3* db) const { sqlite3_close(db); }
  };
  std::unique_ptr<sqlite3, closer> db_;
  fence_guard guard_{fence_guard::in_table().value()};
};

TEST_F(FenceGuard, PassesTheNewestFenceAsOftenAsItComes) {
  EXPECT_TRUE(passes("report", 5));
  EXPECT_TRUE(passes("report", 5));
  EXPECT_TRUE(passes("report", 7));
}

TEST_F(FenceGuard, RefusesAnOlderOne) {
  EXPECT_TRUE(passes("report", 7));
  EXPECT_FALSE(passes("report", 6));
  EXPECT_TRUE(passes("invoice", 6));
  EXPECT_TRUE(passes("report", 7));
}

TEST_F(FenceGuard, IsUndoneWithItsTransaction) {
  run("BEGIN");
  EXPECT_TRUE(passes("report", 9));
  run("ROLLBACK");
  EXPECT_TRUE(passes("report", 8));
}

TEST_F(FenceGuard, GuardsRowsThatKeepTheirFence) {
  run("CREATE TABLE report (id INTEGER, body TEXT, fence BIGINT)");
  run("INSERT INTO report VALUES (1, 'old', 5)");
  const std::string sql = "UPDATE report SET body = ?1, " + fence_guard::assignment("fence", 2) +
                          " WHERE id = 1 AND " + fence_guard::condition("fence", 2);
  EXPECT_EQ(sql, "UPDATE report SET body = ?1, fence = $2 WHERE id = 1 AND fence <= $2");
}

TEST(FenceGuardTable, IsAName) {
  EXPECT_TRUE(fence_guard::in_table("app.fence_2"));
  for (const char* bad : {"", "a b", "fence; DROP TABLE x", "a.b.c", ".a", "a.", "2fast"}) {
    EXPECT_FALSE(fence_guard::in_table(bad)) << bad;
  }
  EXPECT_FALSE(fence_guard::in_table(std::string(64, 'a')));
}

}  // namespace
}  // namespace millrace
