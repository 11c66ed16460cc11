#pragma once

#include "call_codec.hpp"
#include "hot_codec.hpp"
#include "hot_limits.hpp"
#include "hot_locks.hpp"
#include "work.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// How work becomes the arguments of a call, and their answers those of the work.
namespace millrace::engine_redis {

/// One argument: a unit by itself, or many transactions of one of the usual kinds.
struct item {
  enum class kind : std::uint8_t { single, jobs, locks, limits };
  std::string text;
  kind what{kind::single};
};

/// Puts units into arguments. Those of one of the usual kinds go into one argument; what is by
/// itself keeps its place between those before it and those behind it.
class gathering final {
public:
  /// Where a unit is that needs not be executed.
  static constexpr std::size_t nowhere = std::numeric_limits<std::size_t>::max();

  explicit gathering(engine::durability strongest) : jobs_(names_, strongest) {}

  /// Which argument it is in.
  [[nodiscard]] std::size_t add(const unit& one);
  [[nodiscard]] std::size_t bytes() const noexcept {
    return bytes_ + jobs_.bytes() + locks_.bytes() + limits_.bytes();
  }
  /// All of them; nothing may be added then.
  [[nodiscard]] std::vector<item> take();
  /// The queues and the jobs they name; empty: none.
  [[nodiscard]] std::string names() const { return names_.names(); }

private:
  [[nodiscard]] std::size_t open(std::size_t& at, item::kind what);
  template <class Encoder>
  void close(std::size_t& at, Encoder& encoder);
  void close_all();

  call_encoder names_;
  hot_encoder jobs_;
  lock_encoder locks_;
  limit_encoder limits_;
  std::vector<item> items_;
  // The arguments that are being filled.
  std::size_t jobs_at_{nowhere};
  std::size_t locks_at_{nowhere};
  std::size_t limits_at_{nowhere};
  std::size_t bytes_{0};
};

/// Reads the answers of one argument, in the order in which it was filled.
///
/// Lifetime: of the answer.
class item_decoder final {
public:
  item_decoder(item::kind what, const redis::reply_view& answered, engine::durability strongest);

  /// Requires: `asked` is the next that went into it.
  [[nodiscard]] engine::commit_result next(const engine::transaction& asked);
  /// As it came.
  [[nodiscard]] std::string_view text() const noexcept { return answered_; }

private:
  std::string_view answered_;
  engine::durability strongest_;
  std::variant<std::monostate, hot_decoder, lock_decoder, limit_decoder> many_;
};

}  // namespace millrace::engine_redis
