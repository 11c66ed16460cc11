#pragma once

#include <millrace/base/error.hpp>
#include <millrace/engine/lock_steps.hpp>

#include <string>
#include <string_view>

/// Locks as JSON, in the shapes of the API.
namespace millrace::http {

struct lock_request {
  duration ttl{std::chrono::seconds{30}};
  duration wait{0};
  std::string owner;
};
/// `{"ttl","wait","owner"}`.
[[nodiscard]] result<lock_request> decode_lock(std::string_view body);
/// `{"ttl"}`.
[[nodiscard]] result<duration> decode_lock_ttl(std::string_view body);

/// `{"resource","token","fence","expires_at",…}`; no token: who asks does not hold it.
void append_lock(std::string& out, const engine::lock_info& lock, std::string_view token);
/// The members without braces.
void append_lock_members(std::string& out, const engine::lock_info& lock);

}  // namespace millrace::http
