#include "check_cache.hpp"

#include "check_values.hpp"

#include <millrace/base/names.hpp>
#include <millrace/engine/checks.hpp>

#include <fmt/format.h>

#include <algorithm>

namespace millrace::engine {
namespace {

constexpr std::uint64_t stamp_end = std::uint64_t{1} << 53U;

result<void> check_at(const cache_key& at) {
  if (auto ok = check_name(at.project, "project"); !ok) return ok;
  return check_key(at.key, "key");
}

result<void> check_stamp(std::uint64_t value, std::string_view field, std::string_view what) {
  if (value > 0 && value < stamp_end) return {};
  return invalid(std::string(field), fmt::format("{} must be {}, above 0 and below 2^53; {} was "
                                                 "given.",
                                                 field, what, value));
}

result<void> check_lease_of(std::uint64_t lease) {
  return check_stamp(lease, "lease", "the number that came with the claim");
}

result<void> check_tag(std::string_view tag, std::string_view field) {
  if (tag.empty()) return invalid(std::string(field), fmt::format("{} must not be empty.", field));
  return check_line(tag, cache_tag_bytes_max, {{}, field});
}

}  // namespace

result<void> check_cache_tags(const std::vector<std::string>& tags) {
  if (tags.size() > cache_tags_max) {
    return invalid("tag", fmt::format("tag was given {} times: an entry has at most {}.",
                                      tags.size(), cache_tags_max));
  }
  for (auto at = tags.begin(); at != tags.end(); ++at) {
    if (auto ok = check_tag(*at, "tag"); !ok) return ok;
    if (std::find(tags.begin(), at, *at) != at) {
      return invalid("tag", fmt::format("tag {} was given twice.", excerpt(*at)));
    }
  }
  return {};
}

result<void> check_cache_pattern(std::string_view pattern) {
  if (pattern.empty()) return invalid("pattern", "pattern must not be empty; * fits every key.");
  return check_line(pattern, cache_pattern_bytes_max, {{}, "pattern"});
}

result<void> check_read(const read_cache& what) {
  if (auto ok = check_name(what.project, "project"); !ok) return ok;
  if (auto ok = check_range(what.keys.size(), 1, cache_read_keys_max, {{}, "keys"}); !ok) return ok;
  for (const std::string& key : what.keys) {
    if (auto ok = check_key(key, "key"); !ok) return ok;
  }
  return {};
}

result<void> check_cache_step(const put_cache& step) {
  if (auto ok = check_at(step.at); !ok) return ok;
  if (step.value.size() > cache_value_bytes_max) {
    return fail(errc::too_large, "value_too_large",
                fmt::format("The value has {} bytes: at most {} are allowed.", step.value.size(),
                            cache_value_bytes_max),
                "value");
  }
  if (auto ok = check_range(step.ttl, cache_ttl_min, cache_ttl_max, {{}, "ttl"}); !ok) return ok;
  if (auto ok = check_range(step.stale_for, duration{0}, cache_ttl_max, {{}, "stale_for"}); !ok) {
    return ok;
  }
  if (auto ok = check_line(step.content_type, cache_content_type_bytes_max, {{}, "content_type"});
      !ok) {
    return ok;
  }
  if (auto ok = check_cache_tags(step.tags); !ok) return ok;
  if (step.expects == cache_expectation::version) {
    if (auto ok = check_stamp(step.version, "version", "that of an entry"); !ok) return ok;
  }
  return step.lease == 0 ? result<void>() : check_lease_of(step.lease);
}

result<void> check_cache_step(const claim_cache& step) {
  if (auto ok = check_at(step.at); !ok) return ok;
  return check_range(step.lease, claim_lease_min, claim_lease_max, {{}, "lease"});
}

result<void> check_cache_step(const renew_claim& step) {
  if (auto ok = check_at(step.at); !ok) return ok;
  if (auto ok = check_lease_of(step.lease); !ok) return ok;
  return check_range(step.length, claim_lease_min, claim_lease_max, {{}, "length"});
}

result<void> check_cache_step(const release_claim& step) {
  if (auto ok = check_at(step.at); !ok) return ok;
  return check_lease_of(step.lease);
}

result<void> check_cache_step(const delete_cache& step) {
  if (auto ok = check_at(step.at); !ok) return ok;
  return step.version == 0 ? result<void>() : check_stamp(step.version, "version", "of an entry");
}

result<void> check_cache_step(const invalidate_tag& step) {
  if (auto ok = check_name(step.project, "project"); !ok) return ok;
  return check_tag(step.tag, "tag");
}

result<void> check_cache_step(const delete_matching& step) {
  if (auto ok = check_name(step.project, "project"); !ok) return ok;
  return check_cache_pattern(step.pattern);
}

result<void> check_cache_step(const clear_cache& step) {
  if (auto ok = check_name(step.project, "project"); !ok) return ok;
  return check_range(step.max, 1, cache_drop_max, {{}, "max"});
}

}  // namespace millrace::engine
