#pragma once

#include "served.hpp"

#include <millrace/base/json.hpp>

#include <boost/json/value.hpp>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::cli {

/// Tests of commands at a server of their own.
class AtAServer : public ::testing::Test {
protected:
  using words = std::vector<std::string>;

  exit_code run(words args) { return server_.world.run(std::move(args)); }
  [[nodiscard]] std::string out() const { return server_.world.out.str(); }
  [[nodiscard]] std::string err() const { return server_.world.err.str(); }
  /// What `--json` printed.
  [[nodiscard]] json::value printed() const { return parse_json(out()).value(); }
  [[nodiscard]] static bool holds(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
  }

  served server_;
};

}  // namespace millrace::cli
