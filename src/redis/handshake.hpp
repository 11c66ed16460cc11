#pragma once

#include <millrace/base/error.hpp>
#include <millrace/redis/connection.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::redis {

/// A channel that is listened to.
struct subscription {
  subscription_kind kind{subscription_kind::channel};
  std::string channel;

  friend bool operator==(const subscription&, const subscription&) = default;
};

[[nodiscard]] command subscribe_command(const subscription& what);
[[nodiscard]] command unsubscribe_command(const subscription& what);

/// What a server says of itself to HELLO.
struct server_greeting {
  std::string server;
  std::string version;
  std::string mode;
  std::int64_t client_id{0};
};

/// What precedes everything else on a connection: HELLO with AUTH, SELECT, the set-up commands and
/// the subscriptions, all in one write. No I/O.
class handshake final {
public:
  handshake(const connection_options& options, const std::vector<subscription>& listened);

  /// What to write.
  [[nodiscard]] const std::string& bytes() const noexcept { return bytes_; }

  enum class step : std::uint8_t {
    more,
    done,
    /// A push that answers nothing here.
    not_mine,
  };
  /// Takes the next reply. Errors: why the connection cannot be used.
  [[nodiscard]] result<step> on_reply(const reply& what);

  [[nodiscard]] const server_greeting& greeting() const noexcept { return greeting_; }

private:
  struct expected {
    enum class answer : std::uint8_t { greeting, anything, confirmation };
    answer by{answer::anything};
    std::string command;
    std::string channel;
  };

  [[nodiscard]] result<void> on_greeting(reply_view what);
  void expect(const command& what, expected::answer by);

  std::string bytes_;
  std::vector<expected> expected_;
  std::size_t at_{0};
  server_greeting greeting_;
  std::string where_;
};

}  // namespace millrace::redis
