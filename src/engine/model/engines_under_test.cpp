#include <millrace/conformance/conformance.hpp>
#include <millrace/engine_model/model_store.hpp>

namespace millrace::conformance {
namespace {

class opened_model final : public opened_engine {
public:
  explicit opened_model(manual_clock& clock)
      : store_({.clock = &clock, .cache_bytes_max = cache_bytes_under_test}) {}
  engine::store& store() override { return store_; }
  // It keeps nothing, but can show what an engine that does would show: the suites about that are
  // tried on it.
  void end(ending) override {}
  void open_again() override { store_.restart(); }
  void open_again_with(const engine::queue_settings& defaults) override {
    store_.restart(defaults);
  }

private:
  model::model_store store_;
};

}  // namespace

std::vector<engine_case> engines_under_test() {
  return {{"Model", [](manual_clock& clock) { return std::make_unique<opened_model>(clock); }}};
}

std::vector<engine_case> reopenable_engines_under_test() { return engines_under_test(); }

}  // namespace millrace::conformance
