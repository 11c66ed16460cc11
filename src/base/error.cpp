#include <millrace/base/error.hpp>

namespace millrace {

std::string_view to_string(errc code) noexcept {
  switch (code) {
    case errc::malformed: return "malformed";
    case errc::invalid_argument: return "invalid_argument";
    case errc::too_large: return "too_large";
    case errc::not_found: return "not_found";
    case errc::conflict: return "conflict";
    case errc::precondition_failed: return "precondition_failed";
    case errc::forbidden: return "forbidden";
    case errc::exhausted: return "exhausted";
    case errc::unavailable: return "unavailable";
    case errc::storage_full: return "storage_full";
    case errc::outcome_unknown: return "outcome_unknown";
    case errc::deadline_exceeded: return "deadline_exceeded";
    case errc::cancelled: return "cancelled";
    case errc::corrupted: return "corrupted";
    case errc::unsupported: return "unsupported";
    case errc::internal: return "internal";
  }
  return "unknown";
}

}  // namespace millrace
