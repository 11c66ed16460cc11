#include "testing_redis.hpp"

#include <millrace/base/assert.hpp>
#include <millrace/conformance/conformance.hpp>
#include <millrace/engine_redis/redis_store.hpp>

#include <iostream>
#include <memory>
#include <string>
#include <utility>

/// What the conformance suite runs on here.
namespace millrace::conformance {
namespace {

using engine_redis::redis_store;
using redis::testing::redis_server;

// Files are in memory where the machine has such a place: what a test shows does not hang on the
// disk, but how long its thousands of syncs take does.
std::shared_ptr<redis_server> new_server() {
  if (::access("/dev/shm", W_OK) == 0) ::setenv("TMPDIR", "/dev/shm", 1);
  const std::vector<std::string> settings{"--appendonly", "yes", "--appendfsync", "always"};
  return std::make_shared<redis_server>(settings);
}

// One for all tests that do not end it, since each has its own prefix.
std::shared_ptr<redis_server> shared_server() {
  static const std::shared_ptr<redis_server> server = new_server();
  return server;
}

class opened_redis final : public opened_engine {
public:
  opened_redis(manual_clock& clock, std::shared_ptr<redis_server> server)
      : server_(std::move(server)) {
    static int prefixes = 0;
    with_.where.over = redis::address::transport::unix_socket;
    with_.where.path = server_->socket();
    with_.prefix = "test" + std::to_string(++prefixes);
    with_.clock = &clock;
    with_.cache_bytes_max = cache_bytes_under_test;
    open_again();
  }

  engine::store& store() override { return *store_; }

  void end(ending how) override {
    if (how == ending::killed) server_->restart();
    store_.reset();
  }

  void open_again() override {
    auto opened = redis_store::open(with_);
    if (!opened) std::cerr << opened.error().code << ": " << opened.error().detail << '\n';
    MILLRACE_ASSERT(opened.has_value());
    store_ = std::move(*opened);
  }

  void open_again_with(const engine::queue_settings& defaults) override {
    with_.defaults = defaults;
    open_again();
  }

private:
  std::shared_ptr<redis_server> server_;
  engine_redis::options with_;
  std::unique_ptr<redis_store> store_;
};

}  // namespace

std::vector<engine_case> engines_under_test() {
  return {{"Redis", [](manual_clock& clock) {
             return std::make_unique<opened_redis>(clock, shared_server());
           }}};
}

std::vector<engine_case> reopenable_engines_under_test() {
  return {{"Redis", [](manual_clock& clock) {
             return std::make_unique<opened_redis>(clock, new_server());
           }}};
}

}  // namespace millrace::conformance
