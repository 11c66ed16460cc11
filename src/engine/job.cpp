#include <millrace/engine/job.hpp>

#include <array>
#include <cstddef>

namespace millrace::engine {
namespace {

constexpr std::array<std::string_view, 3> durability_words{"memory", "async", "durable"};
constexpr std::array<std::string_view, 7> status_words{
    "queued", "scheduled", "running", "retrying", "completed", "dead", "cancelled"};

template <class Enum, std::size_t Count>
std::optional<Enum> parse_word(const std::array<std::string_view, Count>& words,
                               std::string_view text) noexcept {
  for (std::size_t i = 0; i < Count; ++i) {
    if (words[i] == text) return static_cast<Enum>(i);
  }
  return std::nullopt;
}

}  // namespace

std::string_view to_string(durability level) noexcept {
  return durability_words[static_cast<std::size_t>(level)];
}

std::optional<durability> parse_durability(std::string_view text) noexcept {
  return parse_word<durability>(durability_words, text);
}

std::string_view to_string(job_status status) noexcept {
  return status_words[static_cast<std::size_t>(status)];
}

std::optional<job_status> parse_job_status(std::string_view text) noexcept {
  if (text == "pending") return job_status::queued;
  if (text == "failed") return job_status::dead;
  return parse_word<job_status>(status_words, text);
}

}  // namespace millrace::engine
