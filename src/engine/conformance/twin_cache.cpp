#include "twin_run.hpp"

#include <millrace/engine/async.hpp>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

/// The cache in random runs. Little is put, so that nothing has to go to make room: which entry
/// that is is not the same on every engine.
namespace millrace::conformance {

using namespace std::chrono_literals;
using namespace engine;

namespace {

constexpr std::array<const char*, 4> keys{"user:1", "user:2", "bot:{1}*", "a"};
constexpr std::array<const char*, 3> tags{"red", "blue", "user:1"};

cache_key key_of_cache(const operation& op) {
  // The first one most often, so that claims are met.
  return {.key = keys.at(op.choose(1, 8) < 4 ? 0 : op.choose(1, keys.size()))};
}

// The stamp so many back from the last; zero where there is none.
std::uint64_t recent(const std::vector<std::uint64_t>& stamps, const operation& op) {
  if (stamps.empty()) return 0;
  const std::size_t back = op.choose(5, 8) < 6 ? 0 : op.choose(5, 5);
  return stamps[stamps.size() - 1 - std::min(back, stamps.size() - 1)];
}

put_cache put_of(const operation& op, std::uint64_t version, std::uint64_t lease) {
  constexpr std::array<duration, 6> lives{10s, 1min, 5s, 1ms, 1h, 1s};
  put_cache step{.at = key_of_cache(op),
                 .value = std::string(op.dice[2] * op.choose(2, 3), static_cast<char>(op.dice[2])),
                 .content_type = op.choose(2, 2) == 0 ? "" : "text/plain",
                 .ttl = lives.at(op.choose(3, lives.size()))};
  if (op.choose(3, 4) == 3) step.stale_for = 20s;
  for (std::size_t i = 0; i < op.choose(4, 3); ++i) step.tags.emplace_back(tags.at(i));
  switch (op.choose(4, 16)) {
    case 13: step.expects = cache_expectation::absent; break;
    case 14: step.expects = cache_expectation::present; break;
    case 15:
      step.expects = cache_expectation::version;
      step.version = std::max<std::uint64_t>(version, 1);
      break;
    default: break;
  }
  if (op.choose(0, 2) == 1) step.lease = lease;
  return step;
}

}  // namespace

step twin_run::step_of_cache(const operation& op, const side& on) {
  const std::uint64_t lease = recent(on.seen.cache_leases(), op);
  const std::uint64_t version = recent(on.seen.cache_versions(), op);
  const cache_key at = key_of_cache(op);
  const std::uint64_t any_lease = std::max<std::uint64_t>(lease, 1);
  switch (op.choose(0, 20)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4: return claim_cache{.at = at, .lease = op.choose(3, 2) == 0 ? duration{2s} : 30s};
    case 5: return renew_claim{.at = at, .lease = any_lease, .length = 5s};
    case 6: return release_claim{.at = at, .lease = any_lease};
    case 7:
    case 8: return delete_cache{.at = at, .version = op.choose(4, 3) == 2 ? version : 0};
    case 9:
    case 10: return invalidate_tag{.tag = tags.at(op.choose(2, tags.size()))};
    case 11: return delete_matching{.pattern = op.choose(2, 2) == 0 ? "user:*" : "*[1a]"};
    case 12:
      if (op.choose(2, 4) == 0) return clear_cache{};
      return delete_matching{.pattern = R"(bot:{1}\*)"};
    default: return put_of(op, version, lease);
  }
}

twin_run::found twin_run::compare_cache() {
  read_cache all;
  for (const char* key : keys) all.keys.emplace_back(key);
  if (found what = ask_both(all, "what is cached")) return what;
  all.stale = true;
  if (found what = ask_both(all, "what is cached, be it stale")) return what;
  if (found what = ask_both(list_cache{}, "the list of what is cached")) return what;
  if (found what = ask_both(list_cache{.pattern = "user:?"}, "the list of some")) return what;
  return ask_both(read_cache_stats{}, "the numbers of the cache");
}

}  // namespace millrace::conformance
