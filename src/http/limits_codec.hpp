#pragma once

#include "message.hpp"

#include <millrace/base/clock.hpp>
#include <millrace/base/error.hpp>
#include <millrace/limiter/limiter.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

/// JSON ⇄ what is asked of the limiter and what it answers, and the headers of the answer.
namespace millrace::http {

/// What a body about limits says.
struct limits_body {
  limit_request asked;
  engine::take_mode mode{engine::take_mode::all};
  /// Of refunds.
  std::optional<timestamp> taken_at;
  /// Of settlements; what was reserved is the cost.
  std::optional<std::uint64_t> used;
  bool reserves{false};
  /// Of what is done with permits.
  std::uint64_t permit{0};
};

/// Which members there may be besides the limits, the policy and its parts.
enum class limits_verb : std::uint8_t { check, refund, settle, reset, permit };

/// `settings`: which parts the policies know; any other member is an error.
[[nodiscard]] result<limits_body> decode_limits(std::string_view body, limits_verb verb,
                                                const limit_settings& settings);

/// Whether a settlement says what it has to.
[[nodiscard]] result<void> check_settlement(const limits_body& body);

/// `{"user_id","tokens",…}`.
struct tokens_body {
  limit_request asked;
  engine::take_mode mode{engine::take_mode::all};
  std::string user;
  std::uint64_t tokens{0};
};
[[nodiscard]] result<tokens_body> decode_tokens(std::string_view body);

/// `{"scope","id","for"}`, of whom is shut out; without `for` of whom is let in again.
struct block_body {
  std::string scope;
  std::string id;
  duration length{0};
};
[[nodiscard]] result<block_body> decode_block(std::string_view body, bool lasts);
[[nodiscard]] std::string block_answer(const block_body& asked, const limit_block& done);

/// The answer: 200; 429 where the limits refuse, unless it was only a look; 403 where a list does.
/// `more` are further members, each with its comma in front.
[[nodiscard]] response limits_response(const limit_answer& answer, engine::take_mode mode,
                                       bool legacy_headers, std::string_view more = {});

/// `{"policies":[…],"used":[…],"refused":[…]}`.
[[nodiscard]] std::string limit_stats_body(const std::map<std::string, limit_numbers>& numbers,
                                           const limit_consumers& top);

}  // namespace millrace::http
