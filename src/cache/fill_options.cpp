#include <millrace/cache/fill_options.hpp>

#include <fmt/format.h>

namespace millrace::cache {
namespace {

result<void> check_timeout(duration span, const char* field) {
  if (span >= duration{0} && span <= load_timeout_max) return {};
  return invalid(field, fmt::format("{} must be 0 to {} h.", field, load_timeout_max.count()));
}

}  // namespace

fill_options fill_options_of(const family_spec& of) {
  return {.ttl = of.ttl.value_or(duration{0}),
          .jitter = of.jitter,
          .stale_for = of.stale_if_error,
          .stale_while_revalidate = of.stale_while_revalidate,
          .negative_ttl = of.negative_ttl.value_or(duration{0}),
          .early = of.stale_while_revalidate > duration{0} ? 1.0 : 0.0,
          .adaptive = of.adaptive,
          .outage = of.outage};
}

result<void> check_fill_options(const fill_options& with) {
  if (auto fine = check_timeout(with.soft_timeout, "soft_timeout"); !fine) return fine;
  if (auto fine = check_timeout(with.hard_timeout, "hard_timeout"); !fine) return fine;
  if (with.hard_timeout > duration{0} && with.soft_timeout > with.hard_timeout) {
    return invalid("soft_timeout", "soft_timeout must be at most hard_timeout.");
  }
  if (with.stale_for < duration{0}) return invalid("stale_for", "stale_for must be at least 0.");
  if (with.stale_while_revalidate < duration{0}) {
    return invalid("stale_while_revalidate", "stale_while_revalidate must be at least 0.");
  }
  if (!(with.jitter >= 0 && with.jitter <= 0.5)) {
    return invalid("jitter", "jitter must be 0 to 0.5.");
  }
  if (!(with.early >= 0 && with.early <= 100)) return invalid("early", "early must be 0 to 100.");
  if (!(with.ahead >= 0 && with.ahead <= 1)) return invalid("ahead", "ahead must be 0 to 1.");
  if (with.retry_after == duration{0}) return {};
  if (with.retry_after < retry_after_min || with.retry_after > retry_after_max) {
    return invalid("retry_after", fmt::format("retry_after must be 0, or {} s to {} h.",
                                              retry_after_min.count(), retry_after_max.count()));
  }
  return {};
}

}  // namespace millrace::cache
