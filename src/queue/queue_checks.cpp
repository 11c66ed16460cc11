#include <millrace/base/names.hpp>
#include <millrace/engine/checks.hpp>
#include <millrace/queue/limits.hpp>
#include <millrace/queue/queue.hpp>

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

namespace millrace {

result<void> check(const enqueue_request& request) {
  if (auto ok = check_name(request.queue.project, "project"); !ok) return ok;
  if (auto ok = check_name(request.queue.name, "queue"); !ok) return ok;
  engine::job_spec retries;
  retries.max_attempts = request.max_attempts.value_or(retries.max_attempts);
  retries.backoff = request.backoff.value_or(retries.backoff);
  if (auto ok = engine::check_job_spec(retries); !ok) return ok;
  return engine::check_job_spec(request.spec);
}

result<void> check(const engine::queue_settings& settings) {
  const std::tuple<std::string_view, std::uint64_t, std::uint64_t> counts[] = {
      {"concurrency", settings.concurrency, queue_concurrency_max},
      {"group_concurrency", settings.group_concurrency, queue_concurrency_max},
      {"depth_max", settings.depth_max, queue_count_max},
      {"keep_finished_count", settings.keep_finished_count, queue_count_max},
  };
  for (const auto& [name, count, most] : counts) {
    if (count <= most) continue;
    return invalid(std::string{name},
                   fmt::format("{} must be 0 to {}; {} was given.", name, most, count));
  }
  return engine::check_queue_settings(settings);
}

result<engine::step> to_step(enqueue_request request, const engine::store_traits& store) {
  if (request.level.value_or(store.strongest) > store.strongest) {
    return fail(errc::unsupported, "durability_unavailable",
                fmt::format("this set-up gives {} at most; ask for that or leave durability out",
                            engine::to_string(store.strongest)),
                "durability");
  }
  const engine::job_spec defaults;
  request.spec.max_attempts = request.max_attempts.value_or(defaults.max_attempts);
  request.spec.backoff = request.backoff.value_or(defaults.backoff);
  return engine::enqueue_job{.queue = std::move(request.queue),
                             .spec = std::move(request.spec),
                             .level = request.level.value_or(store.strongest),
                             .default_attempts = !request.max_attempts,
                             .default_backoff = !request.backoff,
                             .default_level = !request.level};
}

}  // namespace millrace
