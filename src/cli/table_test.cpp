#include "table.hpp"

#include <gtest/gtest.h>

#include <sstream>

namespace millrace::cli {
namespace {

std::string printed(const table& shown, std::size_t columns_max) {
  std::ostringstream out;
  shown.print(out, columns_max);
  return out.str();
}

TEST(Table, AlignsItsColumns) {
  table shown{{{"NAME"}, {"COUNT", align::right}, {"STATE"}}};
  shown.add({"gr\xc3\xbc", "7", "open"});
  shown.add({"longer-name", "12,345", ""});
  EXPECT_EQ(printed(shown, 0),
            "NAME          COUNT  STATE\n"
            "gr\xc3\xbc               7  open\n"
            "longer-name  12,345\n");
}

TEST(Table, CutsTheLastColumnToTheTerminal) {
  table shown{{{"ID"}, {"ERROR"}}};
  shown.add({"x", "the disk of the machine is full"});
  EXPECT_EQ(printed(shown, 20), "ID  ERROR\nx   the disk of the…\n");
  EXPECT_EQ(printed(shown, 0), "ID  ERROR\nx   the disk of the machine is full\n");
}

TEST(Table, KeepsForeignTextInItsCell) {
  table shown{{{"ID"}, {"ERROR"}}};
  shown.add({"x", "one\ntwo\x1b[2J"});
  EXPECT_EQ(printed(shown, 0), "ID  ERROR\nx   one two?[2J\n");
}

}  // namespace
}  // namespace millrace::cli
