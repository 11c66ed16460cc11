#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace millrace {

/// The canonical kinds of failure, one vocabulary for every engine, capability and surface.
/// Each enumerator says who should retry.
enum class errc : std::uint8_t {
  /// The request cannot be parsed at all (broken JSON, bad encoding). Fix it; do not retry.
  malformed,
  /// A value is outside its range or of the wrong shape; `field` names it. Do not retry.
  invalid_argument,
  /// A size limit is exceeded. Send less; do not retry as is.
  too_large,
  /// The addressed record does not exist (or no longer does). Do not retry.
  not_found,
  /// The state forbids the step: not the owner, wrong token, already ended. Read again first.
  conflict,
  /// A precondition given by the caller (`If-Match`) did not hold. Read again first.
  precondition_failed,
  /// Not permitted for this caller. Do not retry.
  forbidden,
  /// A named bound is reached (queue depth, rate). Retry after `retry_after`.
  exhausted,
  /// The store cannot serve at the moment. Nothing was applied. Retry after `retry_after`.
  unavailable,
  /// The disk or the memory of the store is full. Nothing was applied. Retry after room is made.
  storage_full,
  /// The step may or may not have been applied. Retry only with an idempotency key.
  outcome_unknown,
  /// The deadline passed before an answer; the step may have been applied.
  deadline_exceeded,
  /// The caller gave up. The step may have been applied.
  cancelled,
  /// Stored data does not decode. An operator has to look; do not retry.
  corrupted,
  /// This set-up cannot do what was asked (for example a durability class). Do not retry.
  unsupported,
  /// A defect of ours. Report it.
  internal,
};

[[nodiscard]] std::string_view to_string(errc code) noexcept;

/// Why something did not happen: a canonical kind, a stable machine word, and a sentence for
/// people.
struct error {
  errc kind{errc::internal};
  /// Stable snake_case word of the exact reason (`queue_full`, `stale_token`); static storage.
  std::string_view code{"internal"};
  /// One sentence that names what was wrong and what to do.
  std::string detail;
  /// The offending field of the request; empty where there is none.
  std::string field;
  /// When a retry makes sense; empty where it is not known.
  std::optional<std::chrono::milliseconds> retry_after{};
};

template <class T>
using result = std::expected<T, error>;

/// `return fail(errc::not_found, "job_not_found", "…");`
[[nodiscard]] inline std::unexpected<error> fail(errc kind, std::string_view code,
                                                 std::string detail, std::string field = {}) {
  return std::unexpected(error{kind, code, std::move(detail), std::move(field), std::nullopt});
}

/// A value out of range or of the wrong shape.
[[nodiscard]] inline std::unexpected<error> invalid(std::string field, std::string detail,
                                                    std::string_view code = "invalid_value") {
  return fail(errc::invalid_argument, code, std::move(detail), std::move(field));
}

}  // namespace millrace
