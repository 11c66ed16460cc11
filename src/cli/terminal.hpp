#pragma once

#include <millrace/cli/cli.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace millrace::cli {

enum class tint : std::uint8_t { red, green, yellow, blue, dim };

/// The text in a colour, where the output is a terminal and NO_COLOR is not set.
[[nodiscard]] std::string paint(const surroundings& around, tint colour, std::string_view text);

/// One line that is written over and over: what a watch shows on a terminal.
///
/// Lifetime: the destructor leaves the cursor on a line of its own.
class live_line final {
public:
  explicit live_line(surroundings& around) noexcept : around_(around) {}
  ~live_line();
  live_line(const live_line&) = delete;
  live_line& operator=(const live_line&) = delete;

  /// Cut to the terminal's width.
  void show(std::string_view text);
  /// A line that stays, above the live one.
  void print_above(std::string_view text);
  /// Takes the line away.
  void clear();

private:
  surroundings& around_;
  std::string shown_;
};

}  // namespace millrace::cli
