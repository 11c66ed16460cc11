#include "sqlite.hpp"
#include "test_directory.hpp"

#include <millrace/engine/async.hpp>
#include <millrace/engine_embedded/embedded_store.hpp>

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

/// Which ends of a process the cache outlives.
namespace millrace::embedded {
namespace {

class CacheBoot : public testing::Test {
protected:
  /// A directory as a process that was killed after it had cached something leaves it.
  std::filesystem::path killed() {
    options with{.directory = root_.path(), .clock = &clock_};
    auto store = embedded_store::open(with);
    EXPECT_TRUE(store);
    engine::transaction one{.level = engine::durability::async};
    one.steps.emplace_back(engine::put_cache{.at = {.key = "k"}, .value = "v"});
    EXPECT_TRUE(engine::blocking::commit(**store, std::move(one)));
    const std::filesystem::path left = root_.beside("left");
    std::filesystem::create_directory(left);
    for (const char* const each : {"millrace.db-wal", "millrace.db", "leases"}) {
      std::filesystem::copy(root_.path() / each, left / each);
    }
    return left;
  }

  bool is_cached(const std::filesystem::path& directory) {
    auto store = embedded_store::open({.directory = directory, .clock = &clock_});
    EXPECT_TRUE(store);
    const auto found = engine::blocking::ask(**store, engine::read_cache{.keys = {"k"}});
    return found && found->entries.at(0).has_value();
  }

  manual_clock clock_;
  test_directory root_;
};

TEST_F(CacheBoot, OutlivesAKill) { EXPECT_TRUE(is_cached(killed())); }

// The latest ends of entries may not have reached the disk: nothing of it is to be believed.
TEST_F(CacheBoot, BeginsEmptyAfterAPowerLoss) {
  const std::filesystem::path left = killed();
  {
    auto db = database::open(left / "millrace.db", "", database::mode::existing);
    ASSERT_TRUE(db);
    ASSERT_TRUE((*db)->run_script("UPDATE meta SET value = 7 WHERE name = 'boot'"));
  }
  EXPECT_FALSE(is_cached(left));
  EXPECT_FALSE(is_cached(left));
}

}  // namespace
}  // namespace millrace::embedded
