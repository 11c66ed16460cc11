#pragma once

#include <millrace/base/error.hpp>
#include <millrace/engine/lock_steps.hpp>
#include <millrace/engine/progress_steps.hpp>

#include <optional>
#include <string>
#include <string_view>

/// What engines decide alike about locks and what goes on right now, and how they keep it: as a few
/// texts side by side, each with its length before it.
namespace millrace::engine {

/// What a step makes of a progress, or why it is refused. `before` is empty where there is none;
/// `version` and `expires_at` are the store's to give.
[[nodiscard]] result<progress_entry> next_progress(const progress_entry* before,
                                                   const put_progress& step, timestamp now);

[[nodiscard]] error progress_not_found();
[[nodiscard]] error connection_not_found();
[[nodiscard]] error lock_lost();
[[nodiscard]] error too_many_locks();
[[nodiscard]] error too_many_records();
[[nodiscard]] error too_many_agents();
[[nodiscard]] error too_many_streams();
[[nodiscard]] error too_many_event_ids();

/// Writes values one after the other: `3:abc1:7`.
class text_fields final {
public:
  text_fields& add(std::string_view value);
  text_fields& add(std::int64_t value);
  [[nodiscard]] std::string take() { return std::move(out_); }

private:
  std::string out_;
};

/// Reads them in their order; the first that is not there fails it.
class text_field_reader final {
public:
  explicit text_field_reader(std::string_view text) noexcept : rest_(text) {}
  [[nodiscard]] std::string_view text();
  [[nodiscard]] std::int64_t number();
  [[nodiscard]] bool failed() const noexcept { return failed_; }
  [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }

private:
  std::string_view rest_;
  bool failed_{false};
};

}  // namespace millrace::engine
