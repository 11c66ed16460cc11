#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

namespace millrace::cli {

enum class align : std::uint8_t { left, right };

struct column {
  std::string title;
  align to{align::left};
};

/// Rows in aligned columns, for people. Cells are made printable here.
class table final {
public:
  explicit table(std::vector<column> columns);

  /// Requires: as many cells as columns.
  void add(std::vector<std::string> cells);
  [[nodiscard]] bool empty() const noexcept { return rows_.empty(); }

  /// The last column is cut where a line would exceed `columns_max` (0: never).
  void print(std::ostream& to, std::size_t columns_max) const;

private:
  std::vector<column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace millrace::cli
