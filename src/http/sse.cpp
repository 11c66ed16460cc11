#include "sse.hpp"

#include <millrace/base/json.hpp>
#include <millrace/http/job_codec.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iterator>

namespace millrace::http {
namespace {

// All that a change of makes a `state` event; progress has its own.
std::uint64_t state_of(const engine::job& job) {
  return std::hash<std::string>{}(fmt::format("{} {} {} {} {}", engine::to_string(job.status),
                                              job.attempts, to_micros(job.run_at),
                                              job.cancel_requested, job.spec.priority));
}

std::uint64_t progress_time(const engine::job& job) {
  return job.progress ? static_cast<std::uint64_t>(to_micros(job.progress->updated_at)) : 0;
}

std::string log_json(const engine::job_log_line& line) {
  std::string out = R"({"at":)";
  append_time(out, line.at);
  out += R"(,"text":)";
  append_json_string(out, line.text);
  out += '}';
  return out;
}

}  // namespace

void append_event(std::string& out, std::string_view type, std::uint64_t id,
                  std::string_view data) {
  const auto at = std::back_inserter(out);
  fmt::format_to(at, "event: {}\n", type);
  if (id != 0) fmt::format_to(at, "id: {}\n", id);
  fmt::format_to(at, "data: {}\n\n", data);
}

job_feed::job_feed(std::optional<std::uint64_t> from) noexcept
    : sent_(from.value_or(0)), from_now_(!from) {}

job_feed::job_feed(const stream_place& from) noexcept
    : sent_(from.stamp),
      from_now_(from.what == stream_place::kind::latest),
      first_(from.what != stream_place::kind::cursor),
      state_(from.epoch),
      progress_at_(from.offset) {}

stream_place job_feed::where() const noexcept {
  return {stream_place::kind::cursor, state_, progress_at_, sent_};
}

void job_feed::take(const engine::job& job, std::vector<engine::job_log_line> lines,
                    std::string& out) {
  const std::uint64_t newest = std::max(job.version, lines.empty() ? 0 : lines.back().stamp);
  if (first_ && sent_ > newest) {
    // Nothing was stamped so late: the cursor is of another store, or of one that lost its end.
    append_event(out, "gap", 0, fmt::format(R"({{"cursor":{},"newest":{}}})", sent_, newest));
    sent_ = 0;
  }
  const bool known = first_ && sent_ != 0 && job.version <= sent_;
  if (first_ && from_now_) lines.clear();
  std::erase_if(lines, [this](const engine::job_log_line& line) { return line.stamp <= sent_; });
  if (!known) append_change(job, lines.empty() ? newest : sent_, out);
  for (const engine::job_log_line& line : lines) {
    sent_ = std::max(sent_, line.stamp);
    append_event(out, "log", sent_, log_json(line));
  }
  if (!lines.empty() && newest > sent_) {
    // Only moves the cursor on: an event without data is none.
    fmt::format_to(std::back_inserter(out), "id: {}\n\n", newest);
  }
  sent_ = std::max(sent_, newest);
  first_ = false;
  state_ = state_of(job);
  progress_at_ = progress_time(job);
  if (!engine::is_final(job.status)) return;
  ended_ = true;
  append_event(
      out, "end", sent_,
      fmt::format(R"({{"id":"{}","status":"{}"}})", job.id.text(), engine::to_string(job.status)));
}

void job_feed::append_change(const engine::job& job, std::uint64_t id, std::string& out) const {
  std::string data;
  if (first_ || state_of(job) != state_) {
    append_job(data, job, job_view::status);
    append_event(out, "state", id, data);
  } else if (job.progress && progress_time(job) != progress_at_) {
    append_progress(data, *job.progress);
    append_event(out, "progress", id, data);
  }
}

void job_feed::take_gone(const engine::job_id& id, std::string& out) {
  ended_ = true;
  append_event(out, "end", sent_, fmt::format(R"({{"id":"{}","status":"deleted"}})", id.text()));
}

}  // namespace millrace::http
