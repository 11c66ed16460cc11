#pragma once

#include "work.hpp"

#include <millrace/base/clock.hpp>
#include <millrace/base/turnstile.hpp>
#include <millrace/redis/connection.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

namespace millrace::engine_redis {

/// Asks for entries of the cache by a small script of their own, beside the calls: nothing has to
/// be put in an order with them, and asking twice does no harm.
///
/// Threading: inside the dispatcher's turnstile, which it enters itself for what comes back.
/// Lifetime:  `none_left` is called when nothing is under way any more; before, the reader and the
///            connection have to stay.
class cache_reader final {
public:
  struct settings {
    std::string state_key;
    const clock_source* clock{nullptr};
    std::chrono::milliseconds request_timeout{0};
  };

  cache_reader(redis::connection& to, turnstile& turn, settings with);
  cache_reader(const cache_reader&) = delete;
  cache_reader& operator=(const cache_reader&) = delete;

  /// Gives the script to the server; until it has it, it is sent along.
  void prepare();
  /// Requires: it asks `read_cache`, and `check_read` has nothing against it.
  void ask(std::unique_ptr<question> what);

  [[nodiscard]] bool busy() const noexcept { return under_way_ > 0; }
  std::function<void()> none_left;

private:
  void send(std::shared_ptr<question> what);
  void on_answer(const std::shared_ptr<question>& what, result<redis::reply> answer);

  redis::connection& link_;
  turnstile& turn_;
  const settings with_;
  const std::string script_;
  /// Empty: the server may not have it.
  std::string sha_;
  std::size_t under_way_{0};
};

}  // namespace millrace::engine_redis
