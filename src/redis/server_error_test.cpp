#include <millrace/redis/server_error.hpp>

#include <millrace/redis/server_facts.hpp>

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace millrace::redis {
namespace {

// What Redis 7.0 says, and 7.2 and Valkey 8 where they say it in other words.
TEST(ServerError, HasAKindACodeAndAdviceForEach) {
  struct known {
    std::string_view says;
    errc kind;
    std::string_view code;
    std::string_view advice;
  };
  const std::vector<known> all{
      {"WRONGPASS invalid username-password pair or user is disabled.", errc::forbidden,
       "wrong_password", "ACL SETUSER <user> on"},
      {"NOAUTH Authentication required.", errc::forbidden, "password_required",
       "redis://:password@"},
      {"NOPERM this user has no permissions to run the 'config|get' command", errc::forbidden,
       "no_permission", "ACL SETUSER <user> +config|get"},
      {"NOPERM User ann has no permissions to run the 'eval' command", errc::forbidden,
       "no_permission", "ACL SETUSER <user> +eval"},
      {"NOPERM this user has no permissions to access one of the keys used as arguments",
       errc::forbidden, "no_permission", "ACL SETUSER <user> ~<pattern"},
      {"NOPERM No permissions to access a key", errc::forbidden, "no_permission", "~<pattern"},
      {"NOPERM No permissions to access a channel", errc::forbidden, "no_permission", "&<pattern"},
      {"ERR The user executing the script can't run this command or subcommand script: 12, on "
       "@user_script:1.",
       errc::forbidden, "no_permission", "+<the command>"},
      {"ERR ACL failure in script: No permissions to access a key script: 12, on @user_script:1.",
       errc::forbidden, "no_permission", "~<pattern"},
      {"READONLY You can't write against a read only replica.", errc::unavailable,
       "read_only_replica", "address of its master"},
      {"OOM command not allowed when used memory > 'maxmemory'. script: 12, on @user_script:1.",
       errc::storage_full, "redis_out_of_memory", "raise it"},
      {"MISCONF Redis is configured to save RDB snapshots", errc::storage_full,
       "redis_cannot_persist", "see its log"},
      {"BUSY Redis is busy running a script.", errc::unavailable, "redis_busy", "SCRIPT KILL"},
      {"LOADING Redis is loading the dataset in memory", errc::unavailable, "redis_loading",
       "soon"},
      {"CLUSTERDOWN The cluster is down", errc::unavailable, "redis_not_ready", "slots"},
      {"MOVED 3999 127.0.0.1:6381", errc::unsupported, "cluster_redirect", "not supported yet"},
      {"ASK 3999 127.0.0.1:6381", errc::unsupported, "cluster_redirect", "not supported yet"},
      {"CROSSSLOT Keys in request don't hash to the same slot", errc::invalid_argument,
       "cross_slot", "{tag}"},
      {"WRONGTYPE Operation against a key holding the wrong kind of value", errc::corrupted,
       "wrong_type", "somebody else"},
      {"NOSCRIPT No matching script. Please use EVAL.", errc::not_found, "no_script", "again"},
      {"ERR DB index is out of range", errc::invalid_argument, "wrong_database", "databases"},
      {"ERR max number of clients reached", errc::exhausted, "too_many_clients", "maxclients"},
      {"ERR unknown command 'FOO', with args beginning with: ", errc::unsupported,
       "unknown_command", "too old"},
      {"ERR Error running script: Script killed by user with SCRIPT KILL.", errc::outcome_unknown,
       "script_killed", "ended"},
      {"DENIED Redis is running in protected mode", errc::forbidden, "protected_mode", "machine"},
      {"BUSYGROUP Consumer Group name already exists", errc::internal, "redis_error", "BUSYGROUP"},
  };
  for (const known& each : all) {
    const error told = to_error(each.says);
    EXPECT_EQ(told.kind, each.kind) << each.says;
    EXPECT_EQ(told.code, each.code) << each.says;
    EXPECT_NE(told.detail.find(each.advice), std::string::npos) << told.detail;
    EXPECT_NE(told.detail.find(each.says), std::string::npos) << told.detail;
  }
}

TEST(ServerError, CanBeShownWhateverItHolds) {
  EXPECT_EQ(showable("a\r\n\x1b[1m\x7f"), "a???[1m?");
  EXPECT_EQ(showable("h\xc3\xa9"), "h\xc3\xa9");
  EXPECT_EQ(showable("h\xc3\xc3"), "h??");
  EXPECT_EQ(showable(std::string(5000, 'x')).size(), 512U);
  EXPECT_FALSE(to_error("").detail.empty());
  EXPECT_EQ(to_error("NOPERM User x has no permissions to run the 'a\xe9\x1b' command")
                .detail.find_first_of("\xe9\x1b"),
            std::string::npos);
}

TEST(ServerFacts, ReadsInfo) {
  const server_facts facts = parse_info(
      "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrun_id:abc\r\n\r\n# Memory\r\n"
      "used_memory:1024\r\nmaxmemory:2048\r\nmaxmemory_policy:allkeys-lru\r\nloading:0\r\n"
      "aof_enabled:1\r\naof_last_write_status:err\r\nrole:slave\r\nconnected_slaves:2\r\n"
      "connected_clients:7\r\nodd line\r\nmaxmemory_human:2K\r\n");
  EXPECT_EQ(facts.version, "7.0.15");
  EXPECT_EQ(facts.server, "redis");
  EXPECT_EQ(facts.mode, "standalone");
  EXPECT_EQ(facts.role, "slave");
  EXPECT_EQ(facts.run_id, "abc");
  EXPECT_EQ(facts.maxmemory, 2048U);
  EXPECT_EQ(facts.used_memory, 1024U);
  EXPECT_TRUE(facts.evicts());
  EXPECT_TRUE(facts.aof_enabled);
  EXPECT_FALSE(facts.aof_write_ok);
  EXPECT_EQ(facts.connected_replicas, 2U);
  EXPECT_EQ(facts.connected_clients, 7U);
  EXPECT_FALSE(parse_info("maxmemory:0\nmaxmemory_policy:allkeys-lru").evicts());
  EXPECT_FALSE(parse_info("maxmemory:9\nmaxmemory_policy:noeviction").evicts());
}

TEST(ServerFacts, ReadsValkeysOwnVersion) {
  const server_facts facts =
      parse_info("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\n");
  EXPECT_EQ(facts.server, "valkey");
  EXPECT_EQ(facts.version, "8.0.1");
}

TEST(ServerFacts, ComparesVersions) {
  EXPECT_TRUE(version_at_least("6.2.0", 6, 2));
  EXPECT_TRUE(version_at_least("7.0.15", 6, 2));
  EXPECT_TRUE(version_at_least("255.255.255", 6, 2));
  EXPECT_FALSE(version_at_least("6.0.16", 6, 2));
  EXPECT_FALSE(version_at_least("5.0", 6, 2));
  EXPECT_FALSE(version_at_least("6", 6, 2));
  EXPECT_FALSE(version_at_least("", 6, 2));
  EXPECT_FALSE(version_at_least("x.y", 6, 2));
}

}  // namespace
}  // namespace millrace::redis
