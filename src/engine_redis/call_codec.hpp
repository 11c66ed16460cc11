#pragma once

#include "packing.hpp"

#include <millrace/engine/store.hpp>

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

/// What goes into one call of the script and what comes out of it: lua/dispatch.lua says what
/// stands where.
namespace millrace::engine_redis {

/// Writes transactions and queries down as arguments of one call.
class call_encoder final {
public:
  [[nodiscard]] std::string encode(const engine::transaction& what);
  [[nodiscard]] std::string encode(const engine::query& what);

  /// The queues and the jobs they name; empty: none.
  [[nodiscard]] std::string names() const;
  /// What the call knows the queue by.
  [[nodiscard]] std::size_t number_of(const engine::queue_key& queue);

private:
  friend struct step_encoder;

  std::map<engine::queue_key, std::size_t> numbers_;
  std::vector<const engine::queue_key*> in_order_;
  packer jobs_;
};

/// Requires: `asked` is what was encoded for this answer.
[[nodiscard]] engine::commit_result decode_commit(const engine::transaction& asked,
                                                  std::string_view answered,
                                                  engine::durability strongest);

[[nodiscard]] result<engine::answer> decode_answer(const engine::query& asked,
                                                   std::string_view answered);

/// A place in a listing: what it is ordered by, then the id.
struct listing_place {
  std::int64_t order{0};
  std::int64_t id{0};
};
[[nodiscard]] std::optional<listing_place> parse_place(std::string_view cursor);

/// Queries whose cursor is none are refused before they are sent.
[[nodiscard]] result<void> check_query(const engine::query& what);

/// What else a call tells.
struct call_report {
  timestamp now{};
  /// When something is due though nobody calls.
  std::optional<timestamp> next_at;
};
struct available_hint {
  engine::queue_key queue;
  std::size_t jobs{0};
};
struct call_hints {
  bool crons{false};
  std::vector<available_hint> available;
  std::vector<engine::job_id> jobs;
  /// Keys whose claim has ended.
  std::vector<engine::cache_key> cache;
  std::vector<engine::topic> topics;
};

/// The report of a call; its hints are what it leaves, if anything. False: it is none.
[[nodiscard]] bool decode_report(std::string_view& report, call_report& out);
[[nodiscard]] bool decode_hints(unpacker& in, call_hints& hints);

/// Why something is refused, by the word of the scripts.
[[nodiscard]] error refused_as(std::string_view code);

/// An answer that means nothing: a defect, or somebody else's script.
[[nodiscard]] error bad_answer();

}  // namespace millrace::engine_redis
