#pragma once

#include "fields.hpp"
#include "packing.hpp"

#include <millrace/engine/store.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

/// Transactions of one step on a lock each, many in one argument of a call: lua/hot_locks.lua says
/// what stands where.
namespace millrace::engine_redis {

[[nodiscard]] bool is_hot_lock(const engine::transaction& what);

class lock_encoder final {
public:
  /// Requires: it is one of these.
  void add(const engine::transaction& what);
  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return names_.size() + body_.size(); }
  /// The argument; it is empty then.
  [[nodiscard]] std::string take();

private:
  void head(int what, const engine::lock_key& key, std::string_view token);
  [[nodiscard]] std::string_view packed(std::string_view text) {
    return packer_.clear().add(text).text();
  }

  std::unordered_map<std::string, std::size_t> numbers_;
  std::string names_;
  std::string body_;
  std::size_t count_{0};
  std::string name_;
  packer packer_;
};

/// Reads what was answered to such an argument, one transaction after the other.
///
/// Lifetime: of the answer.
class lock_decoder final {
public:
  lock_decoder(std::string_view answered, engine::durability strongest)
      : in_(answered), strongest_(strongest), now_(from_micros(in_.distance())) {}

  /// Requires: `asked` is the next of those that were encoded.
  [[nodiscard]] engine::commit_result next(const engine::transaction& asked);

private:
  [[nodiscard]] std::optional<engine::outcome> outcome_of(const engine::step& step);

  fields in_;
  engine::durability strongest_;
  timestamp now_;
};

}  // namespace millrace::engine_redis
