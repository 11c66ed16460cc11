#include "completion.hpp"

#include "command.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace millrace::cli {
namespace {

class BashCompletion : public ::testing::Test {
protected:
  void SetUp() override {
    std::string pattern = std::filesystem::temp_directory_path() / "millrace-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    std::ofstream{directory_ / "completion"} << bash_completion();
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  // What bash offers for a command line whose last word is being typed.
  [[nodiscard]] std::vector<std::string> offered(const std::string& line) const {
    std::istringstream words{line};
    std::string list;
    int count = 0;
    for (std::string word; words >> word; ++count) list += " '" + word + "'";
    if (line.ends_with(' ')) {
      list += " ''";
      ++count;
    }
    const std::string script = "source " + (directory_ / "completion").string() + "; COMP_WORDS=(" +
                               list + "); COMP_CWORD=" + std::to_string(count - 1) +
                               "; _millrace; printf '%s\\n' \"${COMPREPLY[@]}\"";
    const std::filesystem::path file = directory_ / "ask";
    std::ofstream{file} << script;
    FILE* shell = ::popen(("bash " + file.string()).c_str(), "r");
    std::string said;
    std::array<char, 4096> piece{};
    while (shell != nullptr && std::fgets(piece.data(), piece.size(), shell) != nullptr) {
      said += piece.data();
    }
    EXPECT_EQ(::pclose(shell), 0);
    std::istringstream lines{said};
    std::vector<std::string> found;
    for (std::string one; std::getline(lines, one);) {
      if (!one.empty()) found.push_back(one);
    }
    return found;
  }

  std::filesystem::path directory_;
};

using words = std::vector<std::string>;

TEST_F(BashCompletion, OffersCommands) {
  EXPECT_EQ(offered("millrace en"), (words{"enqueue"}));
  EXPECT_EQ(offered("millrace q"), (words{"queue"}));
  EXPECT_EQ(offered("millrace queue p"), (words{"pause", "purge"}));
}

TEST_F(BashCompletion, OffersOptionsOfTheCommand) {
  EXPECT_EQ(offered("millrace enqueue mail --pri"), (words{"--priority"}));
  EXPECT_EQ(offered("millrace queue set mail --rat"), (words{"--rate"}));
  EXPECT_EQ(offered("millrace queue show --rat"), (words{}));
}

TEST_F(BashCompletion, OffersTheValuesThatCanBeCounted) {
  EXPECT_EQ(offered("millrace serve --log-format "), (words{"text", "json"}));
  EXPECT_EQ(offered("millrace queue jobs mail --status re"), (words{"retrying"}));
  EXPECT_EQ(offered("millrace completion z"), (words{"zsh"}));
}

TEST(Completion, KnowsEveryCommandAndOptionInEveryShell) {
  for (const std::string& script : {bash_completion(), zsh_completion(), fish_completion()}) {
    for (const command& one : all_commands()) {
      const std::string_view last = one.name.substr(one.name.find(' ') + 1);
      EXPECT_NE(script.find(last), std::string::npos) << one.name;
      for (const option& each : one.options) {
        EXPECT_NE(script.find(each.name.substr(2)), std::string::npos) << each.name;
      }
    }
  }
}

}  // namespace
}  // namespace millrace::cli
