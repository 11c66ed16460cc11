#pragma once

#include <millrace/base/error.hpp>
#include <millrace/engine/lock_steps.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Locks as JSON, in the shapes of the API.
namespace millrace::http {

struct lock_request {
  duration ttl{std::chrono::seconds{30}};
  duration wait{0};
  std::string owner;
  /// Not said: exclusive.
  std::optional<engine::lock_mode> mode;
  std::uint32_t permits{0};
  /// How long the place in the queue is kept when the wait has ended.
  duration keep_place{0};
};
/// `{"ttl","wait","owner","mode","permits","keep_place"}`; permits make it shared.
[[nodiscard]] result<lock_request> decode_lock(std::string_view body);
/// `{"fence"}`.
[[nodiscard]] result<std::uint64_t> decode_fence(std::string_view body);
/// `{"ttl"}`.
[[nodiscard]] result<duration> decode_lock_ttl(std::string_view body);

/// `{"resource","token","fence","expires_at",…}`; no token: who asks does not hold it.
void append_lock(std::string& out, const engine::lock_info& lock, std::string_view token);
/// The members without braces.
void append_lock_members(std::string& out, const engine::lock_info& lock);
/// `,"held_by":[…]`, where several may hold it.
void append_holders(std::string& out, const std::vector<engine::lock_info>& holders);

}  // namespace millrace::http
