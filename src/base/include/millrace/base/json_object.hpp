#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace millrace {

/// Calls `take(name, value)` for each member of the outermost object, in order, with the exact
/// bytes of its value. A doubled member comes twice; the parser takes the last.
///
/// Requires: `text` has been accepted by `parse_json`. No object: no call.
void for_each_raw_member(std::string_view text,
                         const std::function<void(std::string, std::string_view)>& take);

}  // namespace millrace
