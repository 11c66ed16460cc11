#include <millrace/base/turnstile.hpp>

#include <gtest/gtest.h>

#include <mutex>
#include <thread>
#include <vector>

namespace millrace {
namespace {

TEST(Turnstile, RefusesWhoeverTriesWhileSomebodyIsInside) {
  turnstile door;
  {
    const turnstile::inside first(door, std::try_to_lock);
    ASSERT_TRUE(first);
    // The same thread, too.
    const turnstile::inside second(door, std::try_to_lock);
    EXPECT_FALSE(second);
  }
  EXPECT_TRUE(door.try_enter());
  door.leave();
}

TEST(Turnstile, LetsInOneAtATime) {
  constexpr int rounds = 20'000;
  turnstile door;
  int counted = 0;
  int tried = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < rounds; ++i) {
        const turnstile::inside in(door);
        ++counted;
      }
    });
  }
  for (int i = 0; i < rounds; ++i) {
    const turnstile::inside in(door, std::try_to_lock);
    if (!in) continue;
    ++counted;
    ++tried;
  }
  for (std::thread& each : threads) each.join();
  EXPECT_EQ(counted, 3 * rounds + tried);
}

}  // namespace
}  // namespace millrace
