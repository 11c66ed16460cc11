#include "parse.hpp"

#include "suggest.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <ranges>
#include <utility>

namespace millrace::cli {
namespace {

std::string did_you_mean(std::string_view typed, std::span<const std::string_view> candidates) {
  const auto meant = nearest(typed, candidates);
  return meant ? fmt::format("; did you mean '{}'?", *meant) : std::string{};
}

bool holds(const std::vector<std::string_view>& words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

std::string_view first_word(std::string_view name) { return name.substr(0, name.find(' ')); }
std::string_view second_word(std::string_view name) {
  const std::size_t blank = name.find(' ');
  return blank == std::string_view::npos ? std::string_view{} : name.substr(blank + 1);
}

bool asks_for_help(std::string_view word) {
  return word == "--help" || word == "-h" || word == "help";
}

struct found_command {
  const command* what{nullptr};
  std::string group;
  std::size_t words{0};
};

/// The command that the first words name; without one, the group they name.
std::variant<found_command, usage_error> find_command(const std::vector<std::string>& args) {
  std::vector<std::string_view> first_words;
  std::vector<std::string_view> of_group;
  for (const command& one : all_commands()) {
    const std::string_view head = first_word(one.name);
    if (!holds(first_words, head)) first_words.push_back(head);
    if (head != args.front()) continue;
    if (second_word(one.name).empty()) return found_command{.what = &one, .group = {}, .words = 1};
    if (args.size() > 1 && second_word(one.name) == args[1]) {
      return found_command{.what = &one, .group = {}, .words = 2};
    }
    of_group.push_back(second_word(one.name));
  }
  if (of_group.empty()) {
    return usage_error{.message = fmt::format("unknown command '{}'{}", args.front(),
                                              did_you_mean(args.front(), first_words)),
                       .about = {}};
  }
  if (args.size() == 1 || asks_for_help(args[1])) {
    return found_command{.what = nullptr, .group = args.front(), .words = 1};
  }
  return usage_error{.message = fmt::format("unknown command '{} {}'{}", args.front(), args[1],
                                            did_you_mean(args[1], of_group)),
                     .about = args.front()};
}

/// `millrace --url X queue ls` means `millrace queue ls --url X`.
std::vector<std::string> command_first(std::vector<std::string> args) {
  std::size_t leading = 0;
  while (leading < args.size() && args[leading].starts_with("--")) {
    const bool takes_value = args[leading] == "--url";
    const bool known =
        takes_value || args[leading].starts_with("--url=") || args[leading] == "--json";
    if (!known) break;
    leading += takes_value ? 2 : 1;
  }
  if (leading > 0 && leading < args.size()) {
    const auto middle = args.begin() + static_cast<std::ptrdiff_t>(leading);
    const auto words = std::ranges::find_if(
        middle, args.end(), [](const std::string& arg) { return arg.starts_with('-'); });
    std::rotate(args.begin(), middle, words);
  }
  return args;
}

std::string unknown_option(const command& what, std::string_view typed) {
  std::vector<std::string_view> names{"--help"};
  for (const option& one : what.options) names.push_back(one.name);
  const std::string_view name = typed.substr(0, typed.find('='));
  return fmt::format("{}: unknown option{}", name, did_you_mean(name, names));
}

std::optional<std::string> wrong_choice(std::string_view name, std::string_view choices,
                                        const std::string& given) {
  if (choices.empty()) return std::nullopt;
  std::vector<std::string_view> allowed;
  for (const auto word : std::views::split(choices, ' ')) {
    allowed.emplace_back(word.begin(), word.end());
  }
  if (holds(allowed, given)) return std::nullopt;
  return fmt::format("{}: '{}' is not one of {}{}", name, given, fmt::join(allowed, ", "),
                     did_you_mean(given, allowed));
}

/// One command's options and arguments in CLI11, and what it read.
class line_reader final {
public:
  explicit line_reader(const command& what) : what_(what) {
    app_.set_help_flag();
    app_.add_flag("-h,--help", help_);
    app_.allow_extras();
    for (const option& one : what.options) add(one);
  }

  [[nodiscard]] parsed_line read(std::vector<std::string> rest) {
    // CLI11 takes them from the back.
    std::ranges::reverse(rest);
    try {
      app_.parse(std::move(rest));
    } catch (const CLI::ParseError& wrong) {
      return refuse(reworded(wrong.what()));
    }
    if (help_) return help_wanted{.of = &what_, .group = {}};
    if (auto wrong = split_rest()) return refuse(std::move(*wrong));
    return collect();
  }

private:
  void add(const option& one) {
    auto& taken = options_.emplace_back(std::make_unique<std::vector<std::string>>());
    if (one.value.empty()) {
      handles_.push_back(app_.add_flag(std::string{one.name})->disable_flag_override());
      return;
    }
    auto* handle = app_.add_option(std::string{one.name}, *taken);
    // One value each time it is given, so that what follows stays an argument.
    handle->expected(1)->allow_extra_args(false)->take_all();
    handles_.push_back(handle);
  }

  /// CLI11 says `--priority: 1 required TEXT missing` and `wait was given a disallowed flag
  /// override`; what it means follows from the option.
  [[nodiscard]] std::string reworded(std::string_view told) const {
    const std::string_view name = told.substr(0, told.find_first_of(": "));
    const auto known = std::ranges::find_if(what_.options, [name](const option& one) {
      return one.name == name || one.name.substr(2) == name;
    });
    if (known == what_.options.end()) return std::string{told};
    if (known->value.empty()) return fmt::format("{}: takes no value", known->name);
    return fmt::format("{}: its value {} is missing: {}", known->name, known->value,
                       known->purpose);
  }

  [[nodiscard]] usage_error refuse(std::string message) const {
    return {.message = std::move(message), .about = std::string{what_.name}};
  }

  /// What is no option: the arguments. Behind `--` everything is one.
  [[nodiscard]] std::optional<std::string> split_rest() {
    bool literal = false;
    for (std::string& word : app_.remaining()) {
      if (!literal && word == "--") {
        literal = true;
      } else if (!literal && word.size() > 1 && word.starts_with('-')) {
        return unknown_option(what_, word);
      } else {
        words_.push_back(std::move(word));
      }
    }
    const bool open_end = !what_.arguments.empty() && what_.arguments.back().repeated;
    if (open_end || words_.size() <= what_.arguments.size()) return std::nullopt;
    return fmt::format("'{}' is one argument too many", words_[what_.arguments.size()]);
  }

  [[nodiscard]] parsed_line collect() {
    parsed_command parsed{.what = &what_, .in = {}};
    for (std::size_t i = 0; i < what_.options.size(); ++i) {
      const option& one = what_.options[i];
      if (handles_[i]->count() == 0) continue;
      if (one.value.empty()) {
        parsed.in.add(one.name, "true");
        continue;
      }
      if (!one.repeated && options_[i]->size() > 1) {
        return refuse(
            fmt::format("{}: given {} times, but it counts once", one.name, options_[i]->size()));
      }
      for (std::string& value : *options_[i]) {
        if (auto wrong = wrong_choice(one.name, one.choices, value)) return refuse(*wrong);
        parsed.in.add(one.name, std::move(value));
      }
    }
    std::size_t next = 0;
    for (const argument& one : what_.arguments) {
      if (next == words_.size() && one.required) {
        return refuse(fmt::format("{} is missing: {}", one.name, one.purpose));
      }
      const std::size_t end = one.repeated ? words_.size() : std::min(next + 1, words_.size());
      for (; next < end; ++next) {
        if (auto wrong = wrong_choice(one.name, one.choices, words_[next])) return refuse(*wrong);
        parsed.in.add(one.name, std::move(words_[next]));
      }
    }
    return parsed;
  }

  const command& what_;
  CLI::App app_;
  bool help_{false};
  std::vector<std::unique_ptr<std::vector<std::string>>> options_;
  std::vector<CLI::Option*> handles_;
  std::vector<std::string> words_;
};

}  // namespace

parsed_line parse_line(std::vector<std::string> args) {
  args = command_first(std::move(args));
  if (args.empty()) return help_wanted{.unasked = true};
  if (args.front() == "help") {
    args.erase(args.begin());
    if (args.empty()) return help_wanted{};
    args.emplace_back("--help");
  }
  if (asks_for_help(args.front())) return help_wanted{};
  if (args.front() == "--version" || args.front() == "-V") return version_wanted{};
  if (args.front().starts_with('-')) {
    constexpr std::string_view known[] = {"--help", "--version", "--url", "--json"};
    return usage_error{.message = fmt::format("{}: unknown option{}", args.front(),
                                              did_you_mean(args.front(), known)),
                       .about = {}};
  }
  const auto found = find_command(args);
  if (const auto* wrong = std::get_if<usage_error>(&found)) return *wrong;
  const auto& [what, group, words] = std::get<found_command>(found);
  if (what == nullptr) {
    return help_wanted{.of = nullptr, .group = group, .unasked = args.size() == 1};
  }
  std::vector<std::string> rest{args.begin() + static_cast<std::ptrdiff_t>(words), args.end()};
  return line_reader{*what}.read(std::move(rest));
}

}  // namespace millrace::cli
