#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/base/error.hpp>
#include <millrace/cli/cli.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// A command is a value: what it takes, what it is for, and what it does. Parsing, help, completion
/// and suggestions are all made from that.
namespace millrace::cli {

/// What a shell may offer for a value.
enum class value_kind : std::uint8_t { any, file, directory, program, queue };

struct option {
  /// With its dashes.
  std::string_view name;
  /// What the help calls its value; empty for a flag.
  std::string_view value{};
  /// One line: meaning, unit, default.
  std::string_view purpose{};
  bool repeated{false};
  /// The values it takes, where they can be counted; separated by blanks.
  std::string_view choices{};
  value_kind kind{value_kind::any};
};

struct argument {
  std::string_view name;
  std::string_view purpose{};
  bool required{true};
  /// Takes all that is left. Only the last may.
  bool repeated{false};
  std::string_view choices{};
  value_kind kind{value_kind::any};
};

/// What was typed for one command, checked for shape but not yet for sense.
class invocation final {
public:
  [[nodiscard]] bool has(std::string_view name) const { return values_.contains(name); }
  [[nodiscard]] std::optional<std::string> text(std::string_view name) const;
  [[nodiscard]] std::string text_or(std::string_view name, std::string_view otherwise) const;
  [[nodiscard]] std::vector<std::string> texts(std::string_view name) const;
  /// Requires: the argument is a required one.
  [[nodiscard]] const std::string& required(std::string_view name) const;

  /// Errors: invalid_argument, naming the option.
  [[nodiscard]] result<std::optional<std::int64_t>> integer(std::string_view name, std::int64_t min,
                                                            std::int64_t max) const;
  [[nodiscard]] result<std::optional<duration>> span(std::string_view name) const;

  void add(std::string_view name, std::string value);

private:
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
};

struct context {
  const invocation& in;
  const engine_choice& engine;
  surroundings& around;
};

struct command {
  /// One or two words: `enqueue`, `queue ls`.
  std::string_view name;
  /// One line.
  std::string_view purpose;
  std::vector<argument> arguments;
  std::vector<option> options;
  /// Whole command lines.
  std::vector<std::string_view> examples;
  exit_code (*run)(context&);
  /// More to know, as paragraphs; may be empty.
  std::string_view notes{};
};

/// Every command, in the order in which the help lists them.
[[nodiscard]] std::span<const command> all_commands();

/// Of words like `queue` that stand before several commands.
[[nodiscard]] std::string_view group_purpose(std::string_view group);

/// The options of every command that speaks to a server.
[[nodiscard]] std::vector<option> with_server_options(std::vector<option> own);
/// The same and `--json`.
[[nodiscard]] std::vector<option> with_reading_options(std::vector<option> own);

}  // namespace millrace::cli
