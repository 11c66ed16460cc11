#pragma once

#include "captured.hpp"
#include "config.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace millrace::cli {

/// Reads configuration files of its own. For tests.
class Configured : public ::testing::Test {
protected:
  void SetUp() override {
    std::string pattern = std::filesystem::temp_directory_path() / "millrace-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  [[nodiscard]] result<serve_settings> load(std::string_view toml) {
    const std::filesystem::path file = directory_ / "c.toml";
    std::ofstream{file} << toml;
    const surroundings around = world_.around();
    return load_settings(parsed({"serve", "--config", file.string()}).in, around);
  }
  [[nodiscard]] std::string complaint(std::string_view toml) {
    const auto loaded = load(toml);
    if (loaded) return "none";
    const std::string& field = loaded.error().field;
    return field.substr(field.rfind("c.toml") == std::string::npos ? 0 : field.rfind("c.toml")) +
           "| " + loaded.error().detail;
  }

  captured world_;
  std::filesystem::path directory_;
};

}  // namespace millrace::cli
