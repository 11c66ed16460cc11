#pragma once

#include "event_codec.hpp"

#include <millrace/base/error.hpp>
#include <millrace/engine/group_steps.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Groups of consumers as JSON, in the shapes of the API.
namespace millrace::http {

struct group_read_request {
  engine::read_group step;
  duration wait{0};
  /// Where a new group begins.
  event_position from;
};
/// `{"group","consumer","max","wait","lease","from"}`.
[[nodiscard]] result<group_read_request> decode_group_read(std::string_view body,
                                                           engine::stream_key stream);

/// `{"group","consumer","offsets","all"}`, and `lease` where they are kept longer. `all` is what
/// holds where it is not said.
[[nodiscard]] result<engine::settle_deliveries> decode_settle(
    std::string_view body, engine::stream_key stream, engine::settle_deliveries::verdict what,
    bool all = false);

struct group_request {
  event_position from;
  bool move{false};
};
/// `{"from","move"}`.
[[nodiscard]] result<group_request> decode_group(std::string_view body);

void append_group(std::string& out, const engine::group_info& what);
void append_group_read(std::string& out, const engine::group_read& what);
void append_settled(std::string& out, const engine::deliveries_settled& what);
void append_pending(std::string& out, const std::vector<engine::pending_delivery>& what);

}  // namespace millrace::http
