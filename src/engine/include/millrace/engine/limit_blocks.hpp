#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/engine/limit_steps.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <queue>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace millrace::engine {

/// Who is shut out for a time, and the refusals that lead to it, for engines in memory.
///
/// Guarantees: as the steps say. A block is forgotten when it has ended, and no sooner.
/// Threading:  none of its own.
/// Cost:       nothing for limits without penalties while nobody is blocked.
/// Limits:     none of its own: whoever holds it counts `size`.
class limit_blocks final {
public:
  limit_blocks() = default;
  limit_blocks(const limit_blocks&) = delete;
  limit_blocks& operator=(const limit_blocks&) = delete;
  ~limit_blocks() = default;

  /// Blocks and counts of refusals.
  [[nodiscard]] std::size_t size() const noexcept { return blocks_.size() + strikes_.size(); }
  [[nodiscard]] bool is_empty() const noexcept { return size() == 0; }

  /// The beginning of time: it is not blocked.
  [[nodiscard]] timestamp until(const std::string& project, const std::string& scope,
                                const std::string& id, timestamp now);
  /// In place of a block that there is. An end that has passed: none.
  void set(const std::string& project, const std::string& scope, const std::string& id,
           timestamp until, timestamp now);

  /// Counts the refusal of a limit with a penalty, and says until when its id is blocked now; the
  /// beginning of time: it is not, by this.
  timestamp strike(const std::string& project, const limit_check& what, timestamp now);
  /// Forgets what the limit's refusals have come to, and the block of its id.
  void forget(const std::string& project, const limit_check& what);

  /// Errors: bad_cursor.
  [[nodiscard]] result<limit_block_page> page(const list_limit_blocks& what, timestamp now) const;

  /// Forgets what has ended.
  void sweep(timestamp now);
  void drop_blocks();

private:
  struct strikes {
    std::uint64_t count{0};
    timestamp ends{};
  };
  struct text_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };
  template <class Kept>
  using by_name = std::unordered_map<std::string, Kept, text_hash, std::equal_to<>>;
  struct ending {
    timestamp at;
    std::string name;
    friend bool operator>(const ending& a, const ending& b) { return a.at > b.at; }
  };

  void remember(timestamp at);
  void drop_block(const std::string& name);

  by_name<timestamp> blocks_;
  /// The same, in the order of their names, which are those of `blocks_`.
  std::set<std::string_view> in_order_;
  by_name<strikes> strikes_;
  /// When each is to be looked at, blocks and refusals alike; made anew where most of it is of
  /// what is no more.
  std::priority_queue<ending, std::vector<ending>, std::greater<>> endings_;
  /// Room for one name.
  std::string name_;
};

/// A state of an id that is shut out.
void show_block(limit_state& in, timestamp until, timestamp now) noexcept;

}  // namespace millrace::engine
