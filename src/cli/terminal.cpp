#include "terminal.hpp"

#include "people.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>

namespace millrace::cli {
namespace {

std::string_view code_of(tint colour) {
  switch (colour) {
    case tint::red: return "31";
    case tint::green: return "32";
    case tint::yellow: return "33";
    case tint::blue: return "34";
    case tint::dim: return "2";
  }
  return "0";
}

constexpr std::string_view back_to_empty_line = "\r\x1b[K";

}  // namespace

std::string paint(const surroundings& around, tint colour, std::string_view text) {
  const auto no_color = around.variable("NO_COLOR");
  const auto terminal = around.variable("TERM");
  const bool wanted =
      around.out_is_terminal && (!no_color || no_color->empty()) && terminal != "dumb";
  if (!wanted) return std::string{text};
  return fmt::format("\x1b[{}m{}\x1b[0m", code_of(colour), text);
}

live_line::~live_line() {
  if (!shown_.empty()) around_.out << '\n' << std::flush;
}

void live_line::show(std::string_view text) {
  std::string cut = cut_to(text, std::max<std::size_t>(around_.columns, 2) - 1);
  if (cut == shown_) return;
  around_.out << back_to_empty_line << cut << std::flush;
  shown_ = std::move(cut);
}

void live_line::print_above(std::string_view text) {
  if (!shown_.empty()) around_.out << back_to_empty_line;
  around_.out << text << '\n' << shown_ << std::flush;
}

void live_line::clear() {
  if (shown_.empty()) return;
  around_.out << back_to_empty_line << std::flush;
  shown_.clear();
}

}  // namespace millrace::cli
