#include "stream_cursor.hpp"

#include <array>
#include <charconv>

namespace millrace::http {
namespace {

constexpr int base = 36;

}  // namespace

std::uint32_t stream_hash(std::string_view name) noexcept {
  std::uint32_t hash = 2166136261U;
  for (const char c : name) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 16777619U;
  }
  return hash;
}

std::string positions_text(std::span<const stream_position> all) {
  std::string out;
  for (const stream_position& each : all) {
    if (!out.empty()) out += '~';
    std::array<char, 8> digits{};
    const auto end =
        std::to_chars(digits.data(), digits.data() + digits.size(), each.hash, base).ptr;
    out.append(digits.data(), end);
    out += '.';
    out += each.place.text();
  }
  return out;
}

std::optional<std::vector<stream_position>> parse_positions(std::string_view whole) {
  std::vector<stream_position> all;
  std::string_view text = whole;
  while (true) {
    if (all.size() == streams_max) return std::nullopt;
    const std::string_view part = text.substr(0, text.find('~'));
    stream_position one;
    const char* const end = part.data() + part.size();
    const auto [stopped, code] = std::from_chars(part.data(), end, one.hash, base);
    if (code != std::errc{} || stopped == end || *stopped != '.') return std::nullopt;
    const auto place = engine::event_cursor::parse({stopped + 1, end});
    if (!place) return std::nullopt;
    one.place = *place;
    all.push_back(one);
    if (part.size() == text.size()) break;
    text.remove_prefix(part.size() + 1);
  }
  // No capital, no leading zero.
  if (positions_text(all) != whole) return std::nullopt;
  return all;
}

}  // namespace millrace::http
