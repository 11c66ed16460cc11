#include "check_event_steps.hpp"
#include "check_values.hpp"

#include <millrace/base/names.hpp>
#include <millrace/engine/limits.hpp>

namespace millrace::engine {
namespace {

constexpr std::uint64_t fence_end = std::uint64_t{1} << 53U;

result<void> check_lock_key(const lock_key& key) {
  if (auto ok = check_name(key.project, "project"); !ok) return ok;
  return check_key(key.resource, "resource");
}

result<void> check_lock_ttl(duration ttl) {
  return check_range(ttl, lock_ttl_min, lock_ttl_max, {{}, "ttl"});
}

result<void> check_lock_token(std::string_view token) {
  if (token.empty()) return invalid("token", "token must not be empty: it came with the lock.");
  return check_line(token, lock_token_bytes_max, {{}, "token"});
}

}  // namespace

result<void> check_one(const acquire_lock& s) {
  if (auto ok = check_lock_key(s.key); !ok) return ok;
  if (auto ok = check_lock_token(s.token); !ok) return ok;
  if (auto ok = check_lock_ttl(s.ttl); !ok) return ok;
  if (auto ok = check_range(s.permits, 0, lock_holders_max, {{}, "permits"}); !ok) return ok;
  if (s.permits > 0 && s.mode == lock_mode::exclusive) {
    return invalid("permits", "permits are of a shared lock: an exclusive one is held by one.");
  }
  if (auto ok = check_range(s.queue, duration{0}, lock_queue_max, {{}, "queue"}); !ok) return ok;
  return check_line(s.owner, type_bytes_max, {{}, "owner"});
}

result<void> check_one(const extend_lock& s) {
  if (auto ok = check_lock_key(s.key); !ok) return ok;
  if (auto ok = check_lock_token(s.token); !ok) return ok;
  return s.ttl == duration{0} ? result<void>{} : check_lock_ttl(s.ttl);
}

result<void> check_one(const release_lock& s) {
  if (auto ok = check_lock_key(s.key); !ok) return ok;
  return check_lock_token(s.token);
}

result<void> check_one(const pass_fence& s) {
  if (auto ok = check_lock_key(s.key); !ok) return ok;
  return check_range(s.fence, 1, fence_end - 1, {{}, "fence"});
}

}  // namespace millrace::engine
