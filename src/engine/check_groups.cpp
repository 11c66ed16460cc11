#include "check_event_steps.hpp"
#include "check_values.hpp"

#include <millrace/base/names.hpp>
#include <millrace/engine/limits.hpp>

#include <algorithm>

namespace millrace::engine {
namespace {

result<void> check_group_key(const group_key& key) {
  if (auto ok = check_name(key.stream.project, "project"); !ok) return ok;
  if (auto ok = check_key(key.stream.name, "stream"); !ok) return ok;
  return check_name(key.group, "group");
}

result<void> check_consumer(std::string_view consumer) {
  if (consumer.empty()) {
    return invalid("consumer", "consumer must not be empty: say who reads, by any name.");
  }
  return check_line(consumer, type_bytes_max, {{}, "consumer"});
}

result<void> check_delivery_lease(duration lease) {
  return check_range(lease, lease_min, lease_max, {{}, "lease"});
}

}  // namespace

result<void> check_one(const put_group& s) { return check_group_key(s.group); }

result<void> check_one(const delete_group& s) { return check_group_key(s.group); }

result<void> check_one(const read_group& s) {
  if (auto ok = check_group_key(s.group); !ok) return ok;
  if (auto ok = check_consumer(s.consumer); !ok) return ok;
  if (auto ok = check_range(s.max, 1, page_items_max, {{}, "max"}); !ok) return ok;
  return check_delivery_lease(s.lease);
}

result<void> check_one(const settle_deliveries& s) {
  if (auto ok = check_group_key(s.group); !ok) return ok;
  if (auto ok = check_consumer(s.consumer); !ok) return ok;
  if (auto ok = check_range(s.offsets.size(), 1, page_items_max, {{}, "offsets"}); !ok) return ok;
  std::vector<std::uint64_t> sorted = s.offsets;
  std::ranges::sort(sorted);
  if (sorted.front() == 0) return invalid("offsets", "offsets begin at 1.");
  if (std::ranges::adjacent_find(sorted) != sorted.end()) {
    return invalid("offsets", "offsets must name each event once.");
  }
  if (s.what != settle_deliveries::verdict::extend) return {};
  return check_delivery_lease(s.lease);
}

}  // namespace millrace::engine
