#include "describe_limits.hpp"

#include <fmt/format.h>

namespace millrace::conformance {

std::string describe(const engine::limit_block_page& page, timestamp start) {
  std::string out = fmt::format("{} blocks", page.items.size());
  for (const engine::blocked_id& each : page.items) {
    out += fmt::format("\n  {} {} until {}us", each.scope, each.id, (each.until - start).count());
  }
  return out;
}

}  // namespace millrace::conformance
