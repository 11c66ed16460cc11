#include "allowed.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace millrace::redis {
namespace {

// They change what the connection is, or are not answered by one reply each.
constexpr std::array<std::string_view, 15> of_the_connection{
    "SUBSCRIBE",    "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE",
    "SUNSUBSCRIBE", "HELLO",      "AUTH",       "SELECT",      "RESET",
    "QUIT",         "MONITOR",    "SYNC",       "PSYNC",       "REPLCONF"};
// They hold up everybody behind them, or wait for something of the same caller's.
constexpr std::array<std::string_view, 10> blocking{"BLPOP",    "BRPOP",    "BLMOVE", "BLMPOP",
                                                    "BZPOPMIN", "BZPOPMAX", "BZMPOP", "BRPOPLPUSH",
                                                    "WATCH",    "UNWATCH"};

constexpr char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }

bool is(std::string_view name, std::string_view upper_name) {
  return name.size() == upper_name.size() &&
         std::ranges::equal(name, upper_name, [](char a, char b) { return upper(a) == b; });
}

template <std::size_t Count>
bool is_one_of(std::string_view name, const std::array<std::string_view, Count>& names) {
  return std::ranges::any_of(names, [name](std::string_view each) { return is(name, each); });
}

bool changes_connection(const command& what) {
  const std::string_view name = what.name();
  if (is(name, "CLIENT")) return is(what.first_argument(), "REPLY");
  return is_one_of(name, of_the_connection);
}

bool blocks(const command& what) {
  const std::string_view name = what.name();
  if (is(name, "XREAD") || is(name, "XREADGROUP")) return what.has_word_before("BLOCK", "STREAMS");
  return is_one_of(name, blocking);
}

enum class part : std::uint8_t { none, opens, closes };

part part_of_transaction(std::string_view name) {
  if (is(name, "MULTI")) return part::opens;
  if (is(name, "EXEC") || is(name, "DISCARD")) return part::closes;
  return part::none;
}

std::unexpected<error> needs_own(const command& what) {
  return fail(errc::invalid_argument, "command_needs_own_connection",
              fmt::format("{} would hold up or change the requests of others: send it over a "
                          "dedicated connection",
                          what.name()));
}

std::unexpected<error> of_connection(const command& what) {
  return fail(errc::invalid_argument, "command_of_the_connection",
              fmt::format("{} is not sent by hand: the connection's options and `subscribe` do it",
                          what.name()));
}

}  // namespace

result<void> check_allowed(const command& one, connection_use use) {
  if (changes_connection(one)) return of_connection(one);
  if (use == connection_use::dedicated) return {};
  if (blocks(one) || part_of_transaction(one.name()) != part::none) return needs_own(one);
  return {};
}

result<void> check_allowed(const std::vector<command>& batch, connection_use use) {
  const command* open = nullptr;
  for (const command& each : batch) {
    const part role = part_of_transaction(each.name());
    if (changes_connection(each)) return of_connection(each);
    if (use == connection_use::dedicated) continue;
    if (role == part::none && blocks(each)) return needs_own(each);
    if (role == part::closes && open == nullptr) return needs_own(each);
    if (role != part::none) open = role == part::opens ? &each : nullptr;
  }
  if (open != nullptr) return needs_own(*open);
  return {};
}

}  // namespace millrace::redis
