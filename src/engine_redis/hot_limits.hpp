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
  /// Lifetime: it must outlive `take`.
  void add(const engine::transaction& what);
  /// It has as many different counts as one argument should.
  [[nodiscard]] bool is_full() const noexcept;
  [[nodiscard]] std::size_t bytes() const noexcept {
    return meters_.size() + body_.size() + row_.size();
  }
  /// The argument; it is empty then.
  [[nodiscard]] std::string take();

private:
  void end_row();
  [[nodiscard]] std::size_t number_of(const std::string& project, const engine::limit_check& what);

  // What is counted and how far, as it is written down, to its number.
  std::unordered_map<std::string, std::size_t> numbers_;
  std::string meters_;
  std::string body_;
  std::size_t rows_{0};
  // Steps of one shape: that of the first, and the meters of all.
  const engine::take_limits* like_{nullptr};
  std::size_t count_{0};
  std::string row_;
  std::string meter_;
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
  [[nodiscard]] engine::limits_checked outcome_of(const engine::take_limits& step,
                                                  std::int64_t what);

  fields in_;
  engine::durability strongest_;
  timestamp now_;
  // What became of those of the row that are left.
  fields row_{std::string_view()};
};

}  // namespace millrace::engine_redis
