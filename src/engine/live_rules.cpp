#include <millrace/engine/live_rules.hpp>

#include <millrace/engine/limits.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace millrace::engine {
namespace {

constexpr std::array<std::string_view, 3> status_words{"running", "completed", "failed"};

error exhausted(std::string_view code, std::string detail) {
  return {errc::exhausted, code, std::move(detail), "", std::chrono::seconds{1}};
}

}  // namespace

std::string_view to_string(progress_status status) noexcept {
  return status_words[static_cast<std::size_t>(status)];
}

std::optional<progress_status> parse_progress_status(std::string_view text) noexcept {
  for (std::size_t i = 0; i < status_words.size(); ++i) {
    if (status_words[i] == text) return static_cast<progress_status>(i);
  }
  return std::nullopt;
}

std::optional<timestamp> estimated_completion(const progress_entry& of) {
  if (of.status != progress_status::running || of.marks.empty()) return std::nullopt;
  if (of.current_step >= of.total_steps) return std::nullopt;
  std::vector<duration> each;
  // What came before the first mark that is kept is known only where none has gone.
  timestamp at = of.started_at;
  std::uint32_t step = 0;
  bool known = of.marks.size() < progress_marks_max;
  for (const progress_mark& mark : of.marks) {
    if (known && mark.step > step) each.push_back((mark.at - at) / (mark.step - step));
    at = mark.at;
    step = mark.step;
    known = true;
  }
  if (each.empty()) return std::nullopt;
  const auto middle = each.begin() + static_cast<std::ptrdiff_t>(each.size() / 2);
  std::ranges::nth_element(each, middle);
  return at + *middle * (of.total_steps - of.current_step);
}

result<progress_entry> next_progress(const progress_entry* before, const put_progress& step,
                                     timestamp now) {
  const bool begins = step.total_steps.has_value();
  progress_entry next{.project = step.project, .correlation_id = step.correlation_id};
  if (begins) {
    next.total_steps = *step.total_steps;
    next.started_at = now;
  } else {
    if (before == nullptr) return std::unexpected(progress_not_found());
    if (before->status != progress_status::running) {
      return fail(errc::conflict, "progress_ended",
                  "The progress has ended: give total_steps to start it again.");
    }
    next = *before;
  }
  const std::uint32_t stood = next.current_step;
  if (step.step) {
    if (*step.step > next.total_steps) {
      return invalid(
          "step", fmt::format("step is {}, beyond the total of {}.", *step.step, next.total_steps),
          "step_beyond_total");
    }
    next.current_step = *step.step;
  }
  if (step.message) next.message = *step.message;
  next.status = step.status.value_or(next.status);
  if (next.status == progress_status::completed) next.current_step = next.total_steps;
  next.updated_at = now;
  if (next.current_step != stood) {
    next.marks.push_back({next.current_step, now, next.message});
    if (next.marks.size() > progress_marks_max) next.marks.erase(next.marks.begin());
  }
  return next;
}

error progress_not_found() {
  return {errc::not_found, "progress_not_found",
          "There is no such progress (any more): start it with total_steps.", "", std::nullopt};
}

error connection_not_found() {
  return {errc::not_found, "connection_not_found", "There is no such connection (any more).", "",
          std::nullopt};
}

error lock_lost() {
  return {errc::conflict, "lock_lost",
          "The lock is not held by this token: it has ended, or was never granted.", "",
          std::nullopt};
}

error too_many_locks() {
  return exhausted("too_many_locks", "As many locks are held as the store can take.");
}

error too_many_records() {
  return exhausted("too_many_records", "The store keeps as many of these as it can.");
}

error too_many_agents() {
  return exhausted("too_many_agents", "The flow has as many agents as one can have.");
}

error too_many_streams() {
  return exhausted("too_many_streams", "The store holds as many streams as it can.");
}

error too_many_event_ids() {
  return exhausted("too_many_event_ids",
                   "The store remembers as many ids of events as it can: publish without id.");
}

text_fields& text_fields::add(std::string_view value) {
  out_ += std::to_string(value.size());
  out_ += ':';
  out_ += value;
  return *this;
}

text_fields& text_fields::add(std::int64_t value) { return add(std::to_string(value)); }

std::string_view text_field_reader::text() {
  std::size_t size = 0;
  const char* const begin = rest_.data();
  const char* const end = begin + rest_.size();
  const auto [colon, code] = std::from_chars(begin, end, size);
  const bool sound = code == std::errc{} && colon != end && *colon == ':' &&
                     size <= static_cast<std::size_t>(end - colon - 1);
  if (!sound) {
    failed_ = true;
    rest_ = {};
    return {};
  }
  const std::string_view value(colon + 1, size);
  rest_ = std::string_view(colon + 1 + size, end);
  return value;
}

std::int64_t text_field_reader::number() {
  const std::string_view digits = text();
  std::int64_t value = 0;
  const char* const begin = digits.data();
  const char* const end = begin + digits.size();
  const auto [stopped, code] = std::from_chars(begin, end, value);
  if (code != std::errc{} || stopped != end) failed_ = true;
  return value;
}

}  // namespace millrace::engine
