#include "completion.hpp"

#include "command.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::cli {
namespace {

struct group {
  std::string_view name;
  std::string_view purpose;
  /// Empty for a command of one word.
  std::vector<std::pair<std::string_view, std::string_view>> second_words;
};

std::vector<group> groups() {
  std::vector<group> made;
  for (const command& one : all_commands()) {
    const std::size_t blank = std::min(one.name.find(' '), one.name.size());
    const std::string_view head = one.name.substr(0, blank);
    auto known = std::ranges::find(made, head, &group::name);
    if (known == made.end()) {
      const bool alone = blank == one.name.size();
      made.push_back({.name = head, .purpose = alone ? one.purpose : group_purpose(head)});
      known = std::prev(made.end());
    }
    if (blank < one.name.size()) {
      known->second_words.emplace_back(one.name.substr(blank + 1), one.purpose);
    }
  }
  return made;
}

/// For single quotes of a POSIX shell.
std::string shell_quoted(std::string_view text) {
  std::string safe = "'";
  for (const char c : text) {
    if (c == '\'') {
      safe += "'\\''";
    } else {
      safe += c;
    }
  }
  return safe + "'";
}

/// Fish knows backslashes within single quotes.
std::string fish_quoted(std::string_view text) {
  std::string safe = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') safe += '\\';
    safe += c;
  }
  return safe + "'";
}

std::vector<std::string_view> option_names(const command& what) {
  std::vector<std::string_view> names;
  for (const option& one : what.options) names.push_back(one.name);
  names.emplace_back("--help");
  return names;
}

/// `compgen` for the value of an option or argument.
std::string bash_values(value_kind kind, std::string_view choices) {
  if (!choices.empty())
    return fmt::format("COMPREPLY=($(compgen -W {} -- \"$cur\"))", shell_quoted(choices));
  switch (kind) {
    case value_kind::file:
    case value_kind::program: return "COMPREPLY=($(compgen -f -- \"$cur\"))";
    case value_kind::directory: return "COMPREPLY=($(compgen -d -- \"$cur\"))";
    case value_kind::queue: return "COMPREPLY=($(compgen -W \"$(_millrace_queues)\" -- \"$cur\"))";
    case value_kind::any: break;
  }
  return "COMPREPLY=()";
}

void append_bash_command(std::string& out, const command& what) {
  auto to = std::back_inserter(out);
  fmt::format_to(to, "    {})\n      case $prev in\n", shell_quoted(what.name));
  for (const option& one : what.options) {
    if (one.value.empty()) continue;
    fmt::format_to(to, "        {}) {}; return ;;\n", one.name, bash_values(one.kind, one.choices));
  }
  fmt::format_to(to,
                 "      esac\n      if [[ $cur == -* ]]; then\n        COMPREPLY=($(compgen -W {} "
                 "-- \"$cur\"))\n",
                 shell_quoted(fmt::format("{}", fmt::join(option_names(what), " "))));
  if (!what.arguments.empty()) {
    const argument& first = what.arguments.front();
    fmt::format_to(to, "      else\n        {}\n", bash_values(first.kind, first.choices));
  }
  out += "      fi\n      ;;\n";
}

/// The queues a running server knows, one a line; nothing where there is none.
constexpr std::string_view list_queues = "millrace queue ls --names 2>/dev/null";

std::string_view zsh_action(value_kind kind) {
  switch (kind) {
    case value_kind::file: return "_files";
    case value_kind::program: return "_command_names -e";
    case value_kind::directory: return "_files -/";
    case value_kind::queue: return "_millrace_queues";
    case value_kind::any: break;
  }
  return " ";
}

/// What stands between the brackets and colons of `_arguments` may hold neither.
std::string zsh_text(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') safe += '\\';
    safe += c;
  }
  return safe;
}

std::string zsh_action(value_kind kind, std::string_view choices) {
  return choices.empty() ? std::string{zsh_action(kind)} : fmt::format("({})", choices);
}

void append_zsh_command(std::string& out, const command& what) {
  auto to = std::back_inserter(out);
  fmt::format_to(to, "    {})\n      _arguments -s", shell_quoted(what.name));
  for (const option& one : what.options) {
    std::string spec = fmt::format("{}{}", one.repeated ? "*" : "", one.name);
    spec += fmt::format("[{}]", zsh_text(one.purpose));
    if (!one.value.empty()) {
      spec += fmt::format(":{}:{}", zsh_text(one.value), zsh_action(one.kind, one.choices));
    }
    fmt::format_to(to, " \\\n        {}", shell_quoted(spec));
  }
  fmt::format_to(to, " \\\n        {}", shell_quoted("--help[what it does]"));
  for (const argument& one : what.arguments) {
    fmt::format_to(to, " \\\n        {}",
                   shell_quoted(fmt::format("{}:{}:{}", one.repeated ? "*" : "", zsh_text(one.name),
                                            zsh_action(one.kind, one.choices))));
  }
  out += "\n      ;;\n";
}

std::string fish_condition(std::string_view name) {
  const std::size_t blank = name.find(' ');
  if (blank == std::string_view::npos) {
    return fmt::format("__fish_seen_subcommand_from {}", name);
  }
  return fmt::format("__fish_seen_subcommand_from {}; and __fish_seen_subcommand_from {}",
                     name.substr(0, blank), name.substr(blank + 1));
}

std::string fish_values(value_kind kind, std::string_view choices) {
  if (!choices.empty()) return fmt::format(" -x -a {}", fish_quoted(choices));
  switch (kind) {
    case value_kind::file:
    case value_kind::program: return " -r -F";
    case value_kind::directory: return " -x -a '(__fish_complete_directories)'";
    case value_kind::queue: return " -x -a '(__millrace_queues)'";
    case value_kind::any: break;
  }
  return " -x";
}

void append_fish_command(std::string& out, const command& what) {
  auto to = std::back_inserter(out);
  const std::string condition = fish_quoted(fish_condition(what.name));
  for (const option& one : what.options) {
    fmt::format_to(to, "complete -c millrace -n {} -l {} -d {}{}\n", condition, one.name.substr(2),
                   fish_quoted(one.purpose),
                   one.value.empty() ? std::string{} : fish_values(one.kind, one.choices));
  }
  if (what.arguments.empty()) return;
  const argument& first = what.arguments.front();
  if (!first.choices.empty() || first.kind != value_kind::any) {
    fmt::format_to(to, "complete -c millrace -n {}{}\n", condition,
                   fish_values(first.kind, first.choices));
  }
}

}  // namespace

std::string bash_completion() {
  std::string out = fmt::format(
      "# bash completion for millrace: millrace completion bash > "
      "/usr/share/bash-completion/completions/millrace\n"
      "_millrace_queues() {{ {}; }}\n\n_millrace() {{\n"
      "  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}}\n"
      "  COMPREPLY=()\n",
      list_queues);
  auto to = std::back_inserter(out);
  std::vector<std::string_view> heads;
  std::string second;
  std::vector<std::string_view> grouped;
  for (const group& one : groups()) {
    heads.push_back(one.name);
    if (one.second_words.empty()) continue;
    grouped.push_back(one.name);
    std::vector<std::string_view> words;
    for (const auto& [word, purpose] : one.second_words) words.push_back(word);
    fmt::format_to(std::back_inserter(second),
                   "      {}) COMPREPLY=($(compgen -W {} -- \"$cur\")); return ;;\n", one.name,
                   shell_quoted(fmt::format("{}", fmt::join(words, " "))));
  }
  fmt::format_to(
      to,
      "  if ((COMP_CWORD == 1)); then\n"
      "    COMPREPLY=($(compgen -W {} -- \"$cur\"))\n    return\n  fi\n"
      "  if ((COMP_CWORD == 2)); then\n    case ${{COMP_WORDS[1]}} in\n{}    esac\n  fi\n",
      shell_quoted(fmt::format("{} help --version", fmt::join(heads, " "))), second);
  fmt::format_to(to,
                 "  local name=${{COMP_WORDS[1]}}\n"
                 "  case $name in {}) name+=\" ${{COMP_WORDS[2]}}\" ;; esac\n  case $name in\n",
                 fmt::join(grouped, "|"));
  for (const command& one : all_commands()) append_bash_command(out, one);
  out += "  esac\n}\ncomplete -F _millrace millrace\n";
  return out;
}

std::string zsh_completion() {
  std::string out = fmt::format(
      "#compdef millrace\n# zsh completion for millrace: millrace completion zsh > "
      "\"${{fpath[1]}}/_millrace\"\n\n"
      "_millrace_queues() {{\n  local -a queues\n  queues=(${{(f)\"$({})\"}})\n"
      "  compadd -a queues\n}}\n\n_millrace() {{\n  local name=$words[2]\n  local -a words_of\n",
      list_queues);
  auto to = std::back_inserter(out);
  const auto append_words = [&to](const auto& words) {
    for (const auto& [word, purpose] : words) {
      fmt::format_to(to, "      {}\n", shell_quoted(fmt::format("{}:{}", word, zsh_text(purpose))));
    }
  };
  out += "  if (( CURRENT == 2 )); then\n    words_of=(\n";
  std::vector<std::pair<std::string_view, std::string_view>> heads;
  for (const group& one : groups()) heads.emplace_back(one.name, one.purpose);
  append_words(heads);
  out += "    )\n    _describe command words_of\n    return\n  fi\n  case $name in\n";
  for (const group& one : groups()) {
    if (one.second_words.empty()) continue;
    fmt::format_to(to, "    {})\n      if (( CURRENT == 3 )); then\n        words_of=(\n",
                   one.name);
    append_words(one.second_words);
    out +=
        "        )\n        _describe command words_of\n        return\n      fi\n"
        "      name=\"$words[2] $words[3]\"\n      shift words\n      (( CURRENT-- ))\n      ;;\n";
  }
  out += "  esac\n  shift words\n  (( CURRENT-- ))\n  case $name in\n";
  for (const command& one : all_commands()) append_zsh_command(out, one);
  out +=
      "  esac\n}\n\nif [ \"$funcstack[1]\" = _millrace ]; then\n  _millrace \"$@\"\nelse\n"
      "  compdef _millrace millrace\nfi\n";
  return out;
}

std::string fish_completion() {
  std::string out = fmt::format(
      "# fish completion for millrace: millrace completion fish > "
      "~/.config/fish/completions/millrace.fish\n"
      "function __millrace_queues\n  {}\nend\n\ncomplete -c millrace -f\n",
      list_queues);
  auto to = std::back_inserter(out);
  for (const group& one : groups()) {
    fmt::format_to(to, "complete -c millrace -n __fish_use_subcommand -a {} -d {}\n", one.name,
                   fish_quoted(one.purpose));
    std::vector<std::string_view> words;
    for (const auto& [word, purpose] : one.second_words) words.push_back(word);
    for (const auto& [word, purpose] : one.second_words) {
      const std::string condition =
          fmt::format("__fish_seen_subcommand_from {}; and not __fish_seen_subcommand_from {}",
                      one.name, fmt::join(words, " "));
      fmt::format_to(to, "complete -c millrace -n {} -a {} -d {}\n", fish_quoted(condition), word,
                     fish_quoted(purpose));
    }
  }
  for (const command& one : all_commands()) append_fish_command(out, one);
  return out;
}

}  // namespace millrace::cli
