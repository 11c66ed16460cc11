#include <millrace/redis/server_error.hpp>

#include <millrace/base/names.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace millrace::redis {
namespace {

constexpr std::size_t shown_bytes = 512;

// An error the server tells by its first word.
struct known_word {
  std::string_view word;
  errc kind;
  std::string_view code;
  std::string_view advice;
};

constexpr std::array known_words{
    known_word{"WRONGPASS", errc::forbidden, "wrong_password",
               "user or password is wrong, or the user is off (ACL SETUSER <user> on)"},
    known_word{"NOAUTH", errc::forbidden, "password_required",
               "the server wants a password: redis://:password@host or redis://user:password@host"},
    known_word{"DENIED", errc::forbidden, "protected_mode",
               "the server takes connections from its own machine only: see protected-mode"},
    known_word{"READONLY", errc::unavailable, "read_only_replica",
               "this server is a read-only replica: give the address of its master"},
    known_word{"OOM", errc::storage_full, "redis_out_of_memory",
               "Redis has reached its maxmemory: raise it, or delete what is not needed"},
    known_word{"MISCONF", errc::storage_full, "redis_cannot_persist",
               "Redis cannot write to its disk and refuses changes: see its log"},
    known_word{"BUSY", errc::unavailable, "redis_busy",
               "a script holds Redis up: wait for it, or end it with SCRIPT KILL"},
    known_word{"LOADING", errc::unavailable, "redis_loading",
               "Redis is still loading its data: try again soon"},
    known_word{"MASTERDOWN", errc::unavailable, "redis_not_ready",
               "the replica has lost its master"},
    known_word{"CLUSTERDOWN", errc::unavailable, "redis_not_ready",
               "the cluster does not serve all of its slots"},
    known_word{"TRYAGAIN", errc::unavailable, "redis_not_ready",
               "the keys are being moved to another node of the cluster"},
    known_word{"NOREPLICAS", errc::unavailable, "redis_not_ready",
               "fewer replicas are in touch than min-replicas-to-write asks for"},
    known_word{"MOVED", errc::unsupported, "cluster_redirect",
               "the key belongs to another node: Redis Cluster is not supported yet"},
    known_word{"ASK", errc::unsupported, "cluster_redirect",
               "the key is moving to another node: Redis Cluster is not supported yet"},
    known_word{"CROSSSLOT", errc::invalid_argument, "cross_slot",
               "the keys of one command must share their {tag}"},
    known_word{"WRONGTYPE", errc::corrupted, "wrong_type",
               "a key that is used here holds another kind of value: somebody else has written it"},
    known_word{"NOSCRIPT", errc::not_found, "no_script", "the script has to be loaded again"},
    known_word{"UNKILLABLE", errc::conflict, "redis_conflict", "the script has written already"},
    known_word{"NOTBUSY", errc::conflict, "redis_conflict", "no script is running"},
    known_word{"EXECABORT", errc::conflict, "redis_conflict",
               "a command of the transaction was refused"},
};

// An error that is known by what it says further on.
constexpr std::array known_phrases{
    known_word{"DB index is out of range", errc::invalid_argument, "wrong_database",
               "the server has fewer databases (`databases` in redis.conf)"},
    known_word{"invalid DB index", errc::invalid_argument, "wrong_database",
               "a database is a number from 0"},
    known_word{"SELECT is not allowed in cluster mode", errc::invalid_argument, "wrong_database",
               "a cluster has database 0 alone"},
    known_word{"max number of clients reached", errc::exhausted, "too_many_clients",
               "raise maxclients in redis.conf, or open fewer connections"},
    known_word{"Function not found", errc::not_found, "no_script",
               "the function has to be loaded again"},
    known_word{"unknown command", errc::unsupported, "unknown_command",
               "the server is too old for it or has it renamed"},
    known_word{"Script killed by user", errc::outcome_unknown, "script_killed",
               "somebody ended the script with SCRIPT KILL"},
};

std::string_view between(std::string_view text, std::string_view open, std::string_view close) {
  const std::size_t from = text.find(open);
  if (from == std::string_view::npos) return {};
  const std::string_view rest = text.substr(from + open.size());
  const std::size_t end = rest.find(close);
  return end == std::string_view::npos ? std::string_view{} : rest.substr(0, end);
}

// The ACL rule whose lack the server complains of.
std::string missing_rule(std::string_view says) {
  const std::string_view name = between(says, "run the '", "'");
  if (!name.empty()) {
    // A subcommand is told as config|get and allowed by that name.
    return fmt::format("+{}", showable(name));
  }
  if (says.contains("channel")) return "&<pattern of the channels>";
  if (says.contains("key")) return "~<pattern of the keys>";
  return "+<the command>";
}

bool is_refused_by_acl(std::string_view says) {
  return says.starts_with("NOPERM") || says.contains("The user executing the script can't") ||
         says.contains("ACL failure in script");
}

error told(errc kind, std::string_view code, std::string_view says, std::string_view advice) {
  std::string detail = fmt::format("Redis answered '{}'", showable(says));
  if (!advice.empty()) detail += fmt::format(": {}", advice);
  return {.kind = kind, .code = code, .detail = std::move(detail)};
}

}  // namespace

std::string showable(std::string_view text) {
  const bool utf8 = is_utf8(text);
  std::string shown{utf8 ? cut_utf8(text, shown_bytes) : text.substr(0, shown_bytes)};
  std::ranges::replace_if(
      shown,
      [utf8](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte < 0x20 || byte == 0x7f || (!utf8 && byte >= 0x80);
      },
      '?');
  return shown;
}

error to_error(std::string_view server_says) {
  if (is_refused_by_acl(server_says)) {
    return told(errc::forbidden, "no_permission", server_says,
                fmt::format("allow it with ACL SETUSER <user> {}", missing_rule(server_says)));
  }
  const std::string_view word = server_says.substr(0, server_says.find(' '));
  for (const known_word& known : known_words) {
    if (word == known.word) return told(known.kind, known.code, server_says, known.advice);
  }
  for (const known_word& known : known_phrases) {
    if (server_says.contains(known.word)) {
      return told(known.kind, known.code, server_says, known.advice);
    }
  }
  return told(errc::internal, "redis_error", server_says, {});
}

}  // namespace millrace::redis
