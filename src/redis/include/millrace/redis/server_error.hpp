#pragma once

#include <millrace/base/error.hpp>

#include <string>
#include <string_view>

namespace millrace::redis {

/// What an error reply means and what to do about it.
///
/// | The server says | kind | code |
/// |---|---|---|
/// | WRONGPASS | forbidden | wrong_password |
/// | NOAUTH | forbidden | password_required |
/// | NOPERM, an ACL failure in a script | forbidden | no_permission (names the ACL rule) |
/// | DENIED | forbidden | protected_mode |
/// | READONLY | unavailable | read_only_replica |
/// | OOM | storage_full | redis_out_of_memory |
/// | MISCONF | storage_full | redis_cannot_persist |
/// | BUSY | unavailable | redis_busy |
/// | LOADING | unavailable | redis_loading |
/// | MASTERDOWN, CLUSTERDOWN, TRYAGAIN, NOREPLICAS | unavailable | redis_not_ready |
/// | MOVED, ASK | unsupported | cluster_redirect |
/// | CROSSSLOT | invalid_argument | cross_slot |
/// | WRONGTYPE | corrupted | wrong_type |
/// | NOSCRIPT | not_found | no_script |
/// | UNKILLABLE, NOTBUSY, EXECABORT | conflict | redis_conflict |
/// | ERR … script killed | outcome_unknown | script_killed |
/// | ERR DB index is out of range | invalid_argument | wrong_database |
/// | ERR max number of clients reached | exhausted | too_many_clients |
/// | ERR unknown command | unsupported | unknown_command |
/// | anything else | internal | redis_error |
///
/// `detail` quotes what the server said (made showable, cut at 512 bytes) and says what to do.
[[nodiscard]] error to_error(std::string_view server_says);

/// What a message may show of a text that a peer has sent: control characters and bytes that are
/// not UTF-8 as `?`, cut at 512 bytes.
[[nodiscard]] std::string showable(std::string_view text);

}  // namespace millrace::redis
