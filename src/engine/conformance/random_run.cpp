#include "random_run.hpp"

#include "twin_run.hpp"

#include <millrace/engine_model/model_store.hpp>

#include <rapidcheck.h>

#include <iostream>
#include <sstream>
#include <vector>

namespace millrace::conformance {

namespace {

// Weighted so that a run makes jobs, runs them and ends them in every way.
rc::Gen<operation::kind> any_kind(sort_of_run sort) {
  using enum operation::kind;
  const bool restarts = sort == sort_of_run::with_restarts;
  return rc::gen::weightedElement<operation::kind>({{20, enqueue},
                                                    {20, lease},
                                                    {8, ack},
                                                    {8, fail},
                                                    {4, extend},
                                                    {4, snooze},
                                                    {4, cancel},
                                                    {2, remove},
                                                    {4, requeue},
                                                    {1, purge},
                                                    {4, configure},
                                                    {3, save_cron},
                                                    {5, fire_slot},
                                                    {1, drop_cron},
                                                    {24, cache},
                                                    {8, take_some},
                                                    {5, give_some_back},
                                                    {1, forget_some},
                                                    {16, advance},
                                                    {4, together},
                                                    {3, batched},
                                                    {2, compare},
                                                    {3, restarts ? restart : report}});
}

rc::Gen<operation> any_operation(sort_of_run sort) {
  // The whole range whatever the size of the run, so that each choice is as likely as it looks.
  const auto die = rc::gen::resize(
      rc::kNominalSize, rc::gen::map(rc::gen::inRange(0, 256),
                                     [](int face) { return static_cast<std::uint8_t>(face); }));
  return rc::gen::construct<operation>(any_kind(sort),
                                       rc::gen::container<std::array<std::uint8_t, 6>>(die));
}

void show(const std::vector<operation>& run, std::ostream& out) {
  for (std::size_t i = 0; i < run.size(); ++i) out << "  " << i << ": " << run[i] << '\n';
}

}  // namespace

std::string find_difference(const engine_case& under_test, const random_runs& runs) {
  // What the last failing run, the shortest one, showed.
  std::string shortest;
  const auto property = [&under_test, &shortest, &runs] {
    const auto run = *rc::gen::container<std::vector<operation>>(any_operation(runs.sort));
    manual_clock clock;
    model::model_store model({.clock = &clock, .cache_bytes_max = cache_bytes_under_test});
    const auto engine = under_test.open(clock);
    twin_run twins(model, *engine, clock);
    if (const auto what = twins.difference(run)) {
      std::ostringstream text;
      show(run, text);
      text << *what << '\n';
      shortest = text.str();
      RC_FAIL("the engines differ");
    }
  };
  rc::detail::TestParams params = rc::detail::configuration().testParams;
  if (runs.seed) params.seed = *runs.seed;
  params.maxSuccess = runs.count;
  params.maxSize = 400;
  std::cout << "random runs: seed " << params.seed << ", " << runs.count << " runs\n";
  rc::detail::TestMetadata about;
  about.description = "an engine behaves as the model";
  const rc::detail::TestResult found = rc::detail::checkTestable(property, about, params);
  if (found.is<rc::detail::SuccessResult>()) return {};
  std::ostringstream why;
  rc::detail::printResultMessage(found, why);
  return shortest + "\nseed " + std::to_string(params.seed) + "\n" +
         (shortest.empty() ? why.str() : "");
}

}  // namespace millrace::conformance
