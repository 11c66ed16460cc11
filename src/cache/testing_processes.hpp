#pragma once

#include "testing_redis.hpp"

#include <millrace/base/testing.hpp>
#include <millrace/cache/near_cache.hpp>
#include <millrace/cache/shared_cache.hpp>
#include <millrace/engine_redis/redis_store.hpp>

#include <time.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>

/// For tests only: processes that share a store, and a ledger beside it that outlives each of them.
namespace millrace::cache::proof {

/// Memory that this process and those forked from it share. What is in it must be free of pointers
/// and of locks: whoever uses it may be killed at any moment.
template <class Ledger>
class shared_ledger final {
public:
  shared_ledger() {
    void* const at =
        ::mmap(nullptr, sizeof(Ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) throw std::runtime_error("no shared memory");
    ledger_ = new (at) Ledger();
  }
  ~shared_ledger() { ::munmap(static_cast<void*>(ledger_), sizeof(Ledger)); }
  shared_ledger(const shared_ledger&) = delete;
  shared_ledger& operator=(const shared_ledger&) = delete;
  Ledger* operator->() const { return ledger_; }
  Ledger& operator*() const { return *ledger_; }

private:
  Ledger* ledger_;
};

/// Microseconds of a clock that all processes of the machine share.
inline std::int64_t shared_now() {
  timespec at{};
  ::clock_gettime(CLOCK_MONOTONIC, &at);
  return std::int64_t{at.tv_sec} * 1'000'000 + at.tv_nsec / 1000;
}

/// Lets other processes go on for a while; they cannot tell us when.
template <class Rep, class Period>
void rest(std::chrono::duration<Rep, Period> span) {
  // tidy: allow sleeping_test because other processes cannot tell us
  std::this_thread::sleep_for(span);
}

/// Waits until it fits; false when it does not for long.
template <class Condition>
[[nodiscard]] bool comes(Condition fits) {
  const std::int64_t late = shared_now() + 60'000'000;
  while (!fits()) {
    if (shared_now() > late) return false;
    rest(std::chrono::milliseconds{1});
  }
  return true;
}

/// Runs `work` in a process of its own, which ends with it. Requires: this process has one thread.
template <class Work>
[[nodiscard]] pid_t fork_to(Work work) {
  std::fflush(nullptr);
  const pid_t made = ::fork();
  if (made < 0) throw std::runtime_error("no process");
  if (made > 0) return made;
  // None is left behind by a test that is killed.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  int code = 1;
  try {
    work();
    code = 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "a process of the test: %s\n", e.what());
  }
  // Nothing of the test's own is ended or said twice.
  ::_exit(code);
}

/// True where it ended by itself, well.
[[nodiscard]] inline bool ended_well(pid_t which) {
  int status = -1;
  return ::waitpid(which, &status, 0) == which && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

inline void kill_now(pid_t which) {
  ::kill(which, SIGKILL);
  ::waitpid(which, nullptr, 0);
}

/// The cache as a process has it: Redis, and memory in front that Redis keeps coherent.
class process_cache final {
public:
  /// With `near_source::own` it believes to be alone, which is wrong.
  process_cache(std::uint16_t port, std::chrono::milliseconds age_max,
                near_source source = near_source::told)
      : source_(source),
        near_(std::move(*near_cache::make(
            {.bytes = std::size_t{1} << 20U, .source = source, .age_max = age_max}))) {
    store_ = std::make_unique<near_store>(opened(port, age_max), *near_);
    cache_ = std::make_unique<shared_cache>(*store_, shared_cache::settings{.near = near_.get()});
  }
  shared_cache* operator->() const { return cache_.get(); }
  [[nodiscard]] shared_cache& operator*() const { return *cache_; }

private:
  std::unique_ptr<engine::store> opened(std::uint16_t port, std::chrono::milliseconds age_max) {
    // A proxy that cuts connections cuts those of an opening too.
    constexpr int attempts = 200;
    for (int i = 0; i < attempts; ++i) {
      auto where = redis::parse_address("redis://127.0.0.1:" + std::to_string(port), "url");
      auto made = engine_redis::redis_store::open({.where = std::move(*where)});
      if (!made) continue;
      if (source_ == near_source::told) (*made)->tell_cache_changes(*near_, age_max / 4);
      return std::move(*made);
    }
    throw std::runtime_error("the store does not open");
  }

  const near_source source_;
  std::unique_ptr<near_cache> near_;
  std::unique_ptr<engine::store> store_;
  std::unique_ptr<shared_cache> cache_;
};

/// A whole number of the environment.
[[nodiscard]] inline std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace millrace::cache::proof
