#include "table.hpp"

#include "people.hpp"

#include <millrace/base/assert.hpp>

#include <algorithm>
#include <ostream>
#include <utility>

namespace millrace::cli {
namespace {

constexpr std::size_t gap = 2;
/// The last column keeps at least this much, however narrow the terminal says it is.
constexpr std::size_t last_column_min = 12;

}  // namespace

table::table(std::vector<column> columns) : columns_(std::move(columns)) {}

void table::add(std::vector<std::string> cells) {
  MILLRACE_ASSERT(cells.size() == columns_.size());
  for (std::string& cell : cells) cell = printable(cell);
  rows_.push_back(std::move(cells));
}

void table::print(std::ostream& to, std::size_t columns_max) const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = columns_of(columns_[i].title);
    for (const auto& row : rows_) width = std::max(width, columns_of(row[i]));
    widths.push_back(width);
  }
  if (columns_max > 0) {
    std::size_t before = 0;
    for (std::size_t i = 0; i + 1 < widths.size(); ++i) before += widths[i] + gap;
    const std::size_t room = columns_max > before ? columns_max - before : 0;
    widths.back() = std::min(widths.back(), std::max(room, last_column_min));
  }
  const auto print_row = [&](const auto& cell_of) {
    std::string line;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const std::string cell = cut_to(cell_of(i), std::max<std::size_t>(widths[i], 1));
      const std::string padding(widths[i] - std::min(widths[i], columns_of(cell)), ' ');
      if (i > 0) line.append(gap, ' ');
      line += columns_[i].to == align::right ? padding + cell : cell + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    to << line << '\n';
  };
  print_row([this](std::size_t i) { return columns_[i].title; });
  for (const auto& row : rows_) {
    print_row([&row](std::size_t i) { return row[i]; });
  }
}

}  // namespace millrace::cli
