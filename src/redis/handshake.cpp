#include "handshake.hpp"

#include <millrace/redis/server_error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace millrace::redis {
namespace {

constexpr std::array<std::string_view, 3> subscribe_names{"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"};
constexpr std::array<std::string_view, 3> unsubscribe_names{"UNSUBSCRIBE", "PUNSUBSCRIBE",
                                                            "SUNSUBSCRIBE"};

command hello(const connection_options& options) {
  command words{"HELLO"};
  words.arg(3);
  if (!options.where.password.empty()) {
    words.arg("AUTH")
        .arg(options.where.user.empty() ? "default" : options.where.user)
        .arg(options.where.password);
  }
  if (!options.name.empty()) words.arg("SETNAME").arg(options.name);
  return words;
}

bool names_push(std::string_view command_name, std::string_view push_name) {
  return std::ranges::equal(command_name, push_name,
                            [](char upper, char lower) { return (upper | 0x20) == lower; });
}

}  // namespace

command subscribe_command(const subscription& what) {
  return command{subscribe_names.at(static_cast<std::size_t>(what.kind))}.arg(what.channel);
}

command unsubscribe_command(const subscription& what) {
  return command{unsubscribe_names.at(static_cast<std::size_t>(what.kind))}.arg(what.channel);
}

handshake::handshake(const connection_options& options, const std::vector<subscription>& listened)
    : where_(options.where.text()) {
  expect(hello(options), expected::answer::greeting);
  if (options.where.database != 0) {
    expect(command{"SELECT"}.arg(options.where.database), expected::answer::anything);
  }
  for (const command& each : options.setup) expect(each, expected::answer::anything);
  for (const subscription& each : listened) {
    expect(subscribe_command(each), expected::answer::confirmation);
  }
}

void handshake::expect(const command& what, expected::answer by) {
  what.write_to(bytes_);
  expected_.push_back({.by = by,
                       .command = std::string{what.name()},
                       .channel = std::string{what.first_argument()}});
}

result<handshake::step> handshake::on_reply(const reply& what) {
  const expected& next = expected_.at(at_);
  if (what.kind() == reply_kind::push) {
    const bool confirms = next.by == expected::answer::confirmation && what.size() >= 2 &&
                          names_push(next.command, what[0].text()) &&
                          what[1].text() == next.channel;
    if (!confirms) return step::not_mine;
  } else if (next.by == expected::answer::greeting) {
    auto sound = on_greeting(what.view());
    if (!sound) return std::unexpected(std::move(sound.error()));
  } else if (what.kind() == reply_kind::error) {
    error refused = to_error(what.text());
    refused.detail = fmt::format("{}: {}: {}", where_, next.command, refused.detail);
    return std::unexpected(std::move(refused));
  } else if (next.by == expected::answer::confirmation) {
    return fail(errc::unsupported, "not_redis",
                fmt::format("{} does not confirm a subscription as Redis does", where_));
  }
  ++at_;
  return at_ == expected_.size() ? step::done : step::more;
}

result<void> handshake::on_greeting(reply_view what) {
  const auto too_old = [this](std::string_view version) {
    return fail(errc::unsupported, "server_too_old",
                fmt::format("{} runs version {}: Redis {}.{} or newer, or Valkey, is needed",
                            where_, version, server_version_major_min, server_version_minor_min));
  };
  if (what.is_error()) {
    error refused = to_error(what.text());
    if (refused.code == "unknown_command" || what.text().starts_with("NOPROTO")) {
      return too_old("5 or older (it does not know HELLO 3)");
    }
    refused.detail = fmt::format("{}: {}", where_, refused.detail);
    return std::unexpected(std::move(refused));
  }
  const auto text_of = [what](std::string_view name) {
    const auto found = what.find(name);
    return found ? std::string{found->text()} : std::string{};
  };
  const auto protocol = what.find("proto");
  greeting_ = {.server = text_of("server"), .version = text_of("version"), .mode = text_of("mode")};
  if (const auto id = what.find("id")) greeting_.client_id = id->integer();
  if (!protocol || protocol->integer() != 3 || greeting_.version.empty()) {
    return fail(errc::unsupported, "not_redis",
                fmt::format("{} does not answer HELLO 3 as Redis does", where_));
  }
  const std::string shown = showable(greeting_.version);
  if (!version_at_least(greeting_.version, server_version_major_min, server_version_minor_min)) {
    return too_old(shown);
  }
  if (greeting_.mode == "sentinel") {
    return fail(errc::unsupported, "not_redis",
                fmt::format("{} is a Sentinel: give the address of the Redis server", where_));
  }
  return {};
}

}  // namespace millrace::redis
