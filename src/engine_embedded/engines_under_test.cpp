#include "test_directory.hpp"

#include <millrace/base/assert.hpp>
#include <millrace/conformance/conformance.hpp>
#include <millrace/engine_embedded/embedded_store.hpp>

#include <iostream>
#include <string>
#include <utility>

/// What the conformance suite runs on here.
namespace millrace::conformance {
namespace {

using embedded::embedded_store;

class opened_embedded final : public opened_engine {
public:
  opened_embedded(const manual_clock& clock, embedded::options with)
      : clock_(clock), with_(std::move(with)) {
    with_.directory = root_.path();
    with_.clock = &clock_;
    with_.cache_bytes_max = cache_bytes_under_test;
    open_again();
  }

  engine::store& store() override { return *store_; }

  void end(ending how) override {
    if (how == ending::killed) {
      // What the operating system has been given at this moment is what a process killed now would
      // leave behind; what the engine still writes at its close goes to the files of before.
      const std::filesystem::path left = root_.beside("left" + std::to_string(++kills_));
      std::filesystem::create_directory(left);
      // The log first: a checkpoint that goes on meanwhile only copies from it into the database.
      for (const char* const each : {"millrace.db-wal", "millrace.db", "leases"}) {
        std::filesystem::copy(with_.directory / each, left / each);
      }
      with_.directory = left;
    }
    store_.reset();
  }

  void open_again() override {
    auto opened = embedded_store::open(with_);
    if (!opened) std::cerr << opened.error().detail << '\n';
    MILLRACE_ASSERT(opened.has_value());
    store_ = std::move(*opened);
  }

  void open_again_with(const engine::queue_settings& defaults) override {
    with_.defaults = defaults;
    open_again();
  }

private:
  const manual_clock& clock_;
  embedded::test_directory root_;
  embedded::options with_;
  int kills_{0};
  std::unique_ptr<embedded_store> store_;
};

engine_case embedded_case(std::string name, embedded::options with) {
  return {std::move(name), [with = std::move(with)](manual_clock& clock) {
            return std::make_unique<opened_embedded>(clock, with);
          }};
}

}  // namespace

std::vector<engine_case> engines_under_test() {
  // The second reads every job from the disk, and writes its log back all the time.
  return {embedded_case("Embedded", {.prepared_log_bytes = 0}),
          embedded_case("EmbeddedWithoutCaches", {.hot_jobs_bytes = 0,
                                                  .page_cache_bytes = 65'536,
                                                  .prepared_log_bytes = 65'536,
                                                  .checkpoint_bytes = 1})};
}

std::vector<engine_case> reopenable_engines_under_test() { return engines_under_test(); }

}  // namespace millrace::conformance
