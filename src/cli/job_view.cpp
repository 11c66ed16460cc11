#include "job_view.hpp"

#include "json_view.hpp"
#include "people.hpp"
#include "terminal.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <optional>
#include <ostream>
#include <vector>

namespace millrace::cli {
namespace {

constexpr std::size_t bar_columns = 20;

std::string time_text(timestamp at, const json::value& job, std::string_view name, timestamp now) {
  return fmt::format("{} ({})", text_at(job, name), relative_time(at, now));
}

std::string labels_text(const json::value& job) {
  const json::value* labels = member(job, "labels");
  if (labels == nullptr || !labels->is_object()) return {};
  std::vector<std::string> pairs;
  for (const auto& [key, value] : labels->get_object()) {
    pairs.push_back(fmt::format(
        "{}={}", std::string_view{key.data(), key.size()},
        value.is_string() ? std::string{value.get_string().c_str()} : json_text(value)));
  }
  return fmt::format("{}", fmt::join(pairs, " "));
}

std::string progress_text(const json::value& job) {
  const auto share = number_at(job, "progress.value");
  if (!share) return {};
  return fmt::format("{} {:3.0f} %  {}", progress_bar(*share, bar_columns), *share * 100,
                     text_at(job, "progress.message"));
}

std::string status_colored(const context& with, const json::value& job) {
  const std::string status = text_at(job, "status");
  std::string text = status_text(job);
  if (status == "completed") return paint(with.around, tint::green, text);
  if (status == "dead") return paint(with.around, tint::red, text);
  if (status == "running") return paint(with.around, tint::blue, text);
  if (status == "retrying" || status == "cancelled") return paint(with.around, tint::yellow, text);
  return text;
}

}  // namespace

std::string status_text(const json::value& job) {
  std::string text = text_at(job, "status");
  const std::uint64_t attempts = count_at(job, "attempts");
  const std::uint64_t most = count_at(job, "max_attempts");
  if (attempts > 0 && most > 0) text += fmt::format(", attempt {} of {}", attempts, most);
  if (flag_at(job, "cancel_requested") && !has_ended(job)) text += ", asked to stop";
  return text;
}

bool has_ended(const json::value& job) {
  const std::string status = text_at(job, "status");
  return status == "completed" || status == "dead" || status == "cancelled";
}

exit_code exit_code_of(const json::value& job) {
  return text_at(job, "status") == "completed" ? exit_code::done : exit_code::failed;
}

void print_job(const context& with, const json::value& job) {
  const timestamp now = with.around.clock.now();
  const auto print = [&with](std::string_view name, std::string_view text) {
    if (!text.empty()) with.around.out << fmt::format("{:<12} {}\n", name, text);
  };
  print("id", text_at(job, "id"));
  print("queue", printable(text_at(job, "queue")));
  print("type", printable(text_at(job, "type")));
  print("status", status_colored(with, job));
  print("progress", printable(progress_text(job)));
  print("priority", fmt::format("{}", count_at(job, "priority")));
  print("labels", printable(labels_text(job)));
  print("group", printable(text_at(job, "group")));
  print("worker", printable(text_at(job, "worker")));
  constexpr std::pair<std::string_view, std::string_view> times[] = {
      {"created", "created_at"}, {"due", "run_at"},           {"started", "started_at"},
      {"failed", "failed_at"},   {"finished", "finished_at"}, {"lease ends", "leased_until"}};
  for (const auto& [name, at] : times) {
    if (const auto when = time_at(job, at)) print(name, time_text(*when, job, at, now));
  }
  print("correlation", printable(text_at(job, "correlation_id")));
  print("durability", text_at(job, "durability"));
  print("error", printable(text_at(job, "error")));
  for (const std::string_view name : {"result", "checkpoint", "data"}) {
    if (const json::value* value = member(job, name)) print(name, printable(json_text(*value)));
  }
  for (const json::value& line : items_at(job, "log")) {
    print("log", printable(text_at(line, "text")));
  }
}

}  // namespace millrace::cli
