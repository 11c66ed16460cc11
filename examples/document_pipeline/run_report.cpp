#include "run_report.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

namespace pipeline {
namespace {

namespace json = boost::json;

constexpr std::size_t reasons_shown = 8;
constexpr std::size_t terms_shown = 10;

const json::value* member(const json::value& of, std::string_view name) {
  const json::object* object = of.if_object();
  return object == nullptr ? nullptr : object->if_contains(name);
}

std::string text_of(const json::value& of, std::string_view name) {
  const json::value* found = member(of, name);
  return found != nullptr && found->is_string() ? std::string{found->get_string()} : std::string{};
}

std::int64_t number_of(const json::value& of, std::string_view name) {
  const json::value* found = member(of, name);
  return found != nullptr && found->is_int64() ? found->get_int64() : 0;
}

struct queue_row {
  std::size_t files{0}, completed{0}, dead{0}, retried{0};
};

void print_queues(const std::vector<tracked_job>& jobs) {
  std::map<std::string, queue_row> rows;
  for (const tracked_job& job : jobs) {
    queue_row& row = rows[job.queue];
    ++row.files;
    if (job.status() == "completed") ++row.completed;
    if (job.status() == "dead") ++row.dead;
    if (number_of(job.state, "attempts") > 1) ++row.retried;
  }
  fmt::print("\n{:<10} {:>6} {:>10} {:>6} {:>8}\n", "QUEUE", "JOBS", "COMPLETED", "DEAD",
             "RETRIED");
  for (const auto& [queue, row] : rows) {
    fmt::print("{:<10} {:>6} {:>10} {:>6} {:>8}\n", queue, row.files, row.completed, row.dead,
               row.retried);
  }
}

void print_retries(const std::vector<tracked_job>& jobs) {
  for (const tracked_job& job : jobs) {
    if (job.status() != "completed" || number_of(job.state, "attempts") < 2) continue;
    fmt::print("\nRetried until it worked: {} (run {}; before: {})\n",
               std::filesystem::path{job.file}.filename().string(),
               number_of(job.state, "attempts"), text_of(job.state, "error"));
  }
}

void print_dead(const std::vector<tracked_job>& jobs) {
  std::size_t shown = 0;
  std::size_t dead = 0;
  for (const tracked_job& job : jobs) {
    if (job.status() != "dead") continue;
    if (dead++ == 0) fmt::print("\nDead letters, each with its reason:\n");
    if (shown >= reasons_shown) continue;
    ++shown;
    fmt::print("  {:<28.28} {}\n", std::filesystem::path{job.file}.filename().string(),
               text_of(job.state, "error"));
  }
  if (dead > shown) fmt::print("  … and {} more\n", dead - shown);
}

void print_terms(const tracked_job& graph) {
  const json::value* result = member(graph.state, "result");
  const json::value* nodes = result == nullptr ? nullptr : member(*result, "nodes");
  if (nodes == nullptr || !nodes->is_array() || nodes->get_array().empty()) return;
  std::string line;
  std::size_t shown = 0;
  for (const json::value& node : nodes->get_array()) {
    if (shown++ == terms_shown) break;
    if (!line.empty()) line += ", ";
    line += fmt::format("{} ({})", text_of(node, "term"), number_of(node, "documents"));
  }
  fmt::print("\nBest connected terms (documents): {}\n", line);
}

void print_next(const std::vector<tracked_job>& jobs) {
  const auto completed = std::ranges::find_if(jobs, [](const tracked_job& job) {
    return job.queue == "document" && job.status() == "completed";
  });
  fmt::print("\nLook further:\n");
  fmt::print("  build/millrace queue ls                 the queues and their counts\n");
  if (completed != jobs.end()) {
    fmt::print("  build/millrace job {:<20} one document with its summary\n", completed->id);
  }
  fmt::print("  build/millrace dlq ls document          the dead letters\n");
  fmt::print("  build/millrace dlq requeue document 0   try the oldest once more\n");
}

}  // namespace

void print_report(const std::vector<tracked_job>& jobs, const tracked_job& graph) {
  print_queues(jobs);
  print_retries(jobs);
  print_dead(jobs);
  print_terms(graph);
  print_next(jobs);
}

}  // namespace pipeline
