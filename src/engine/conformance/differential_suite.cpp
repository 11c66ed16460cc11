#include "fixture.hpp"
#include "random_run.hpp"

#include <cstdlib>

namespace millrace::conformance {
namespace {

class Differential : public testing::TestWithParam<engine_case> {};
INSTANTIATE_TEST_SUITE_P(Engine, Differential, testing::ValuesIn(engines_under_test()), case_name);

// By default few and always the same, since every test command runs them: the same sources get the
// same verdict. A campaign runs as many as are asked for, others every time.
random_runs runs_wanted(sort_of_run sort) {
  const char* const wanted = std::getenv("MILLRACE_DIFFERENTIAL_RUNS");
  if (wanted != nullptr) return {.sort = sort, .count = std::atoi(wanted)};
  return {.sort = sort, .count = 300, .seed = 1};
}

TEST_P(Differential, RandomRunsBehaveAsOnTheModel) {
  const std::string difference = find_difference(GetParam(), runs_wanted(sort_of_run::plain));
  EXPECT_TRUE(difference.empty()) << difference;
}

class DifferentialRestart : public testing::TestWithParam<engine_case> {};
INSTANTIATE_TEST_SUITE_P(Engine, DifferentialRestart,
                         testing::ValuesIn(reopenable_engines_under_test()), case_name);
// An engine that keeps nothing has nothing to show here.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(DifferentialRestart);

TEST_P(DifferentialRestart, RandomRunsBehaveAsOnTheModel) {
  const std::string difference =
      find_difference(GetParam(), runs_wanted(sort_of_run::with_restarts));
  EXPECT_TRUE(difference.empty()) << difference;
}

}  // namespace
}  // namespace millrace::conformance
