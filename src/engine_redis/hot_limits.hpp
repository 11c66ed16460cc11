#pragma once

#include "fields.hpp"

#include <millrace/engine/store.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>

/// Transactions that take limits and do nothing else, many in one argument of a call:
/// lua/steps_limits.lua says what stands where.
namespace millrace::engine_redis {

[[nodiscard]] bool is_hot_limits(const engine::transaction& what);

class limit_encoder final {
public:
  /// Requires: it is one of these.
  void add(const engine::transaction& what);
  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  /// It has as many different counts as one argument should.
  [[nodiscard]] bool is_full() const noexcept;
  [[nodiscard]] std::size_t bytes() const noexcept { return meters_.size() + body_.size(); }
  /// The argument; it is empty then.
  [[nodiscard]] std::string take();

private:
  // What is counted and how far, as it is written down, to its number.
  std::unordered_map<std::string, std::size_t> numbers_;
  std::string meters_;
  std::string body_;
  std::size_t count_{0};
};

/// Reads what was answered to such an argument, one transaction after the other.
///
/// Lifetime: of the answer.
class limit_decoder final {
public:
  limit_decoder(std::string_view answered, engine::durability strongest)
      : in_(answered), strongest_(strongest), now_(from_micros(in_.distance())) {}

  /// Requires: `asked` is the next of those that were encoded.
  [[nodiscard]] engine::commit_result next(const engine::transaction& asked);

private:
  fields in_;
  engine::durability strongest_;
  timestamp now_;
};

}  // namespace millrace::engine_redis
