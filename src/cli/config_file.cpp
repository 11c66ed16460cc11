#include "config_file.hpp"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

namespace millrace::cli {
namespace {

/// A configuration is small; what is larger is something else, named by mistake.
constexpr std::uintmax_t file_bytes_max = std::uintmax_t{1} << 20U;

std::unexpected<error> bad_file(std::string where, std::string detail) {
  return invalid(std::move(where), std::move(detail), "invalid_configuration");
}

std::optional<config_value::any> to_value(const toml::node& node) {
  if (const auto* text = node.as_string()) return config_value::any{text->get()};
  if (const auto* number = node.as_integer()) return config_value::any{number->get()};
  if (const auto* number = node.as_floating_point()) return config_value::any{number->get()};
  if (const auto* flag = node.as_boolean()) return config_value::any{flag->get()};
  const auto* list = node.as_array();
  if (list == nullptr) return std::nullopt;
  std::vector<std::string> texts;
  for (const toml::node& item : *list) {
    const auto* text = item.as_string();
    if (text == nullptr) return std::nullopt;
    texts.push_back(text->get());
  }
  return config_value::any{std::move(texts)};
}

std::string joined(const std::vector<std::string>& path) {
  return fmt::format("{}", fmt::join(path, "."));
}

result<void> collect(const toml::table& from, const std::string& file,
                     std::vector<std::string>& path, std::vector<file_entry>& entries);

// Tables in a list are as tables whose names are their places.
result<void> collect_list(const toml::array& from, const std::string& file,
                          std::vector<std::string>& path, std::vector<file_entry>& entries) {
  for (std::size_t i = 0; i < from.size(); ++i) {
    path.push_back(std::to_string(i));
    if (auto taken = collect(*from[i].as_table(), file, path, entries); !taken) return taken;
    path.pop_back();
  }
  return {};
}

bool is_list_of_tables(const toml::node& node) {
  const auto* list = node.as_array();
  return list != nullptr && !list->empty() && list->is_homogeneous(toml::node_type::table);
}

result<void> collect(const toml::table& from, const std::string& file,
                     std::vector<std::string>& path, std::vector<file_entry>& entries) {
  for (const auto& [key, node] : from) {
    path.emplace_back(key.str());
    const std::string where = fmt::format("{}:{}", file, node.source().begin.line);
    if (const auto* inner = node.as_table()) {
      if (auto taken = collect(*inner, file, path, entries); !taken) return taken;
    } else if (is_list_of_tables(node)) {
      if (auto taken = collect_list(*node.as_array(), file, path, entries); !taken) return taken;
    } else {
      auto value = to_value(node);
      if (!value) {
        return bad_file(fmt::format("{}: {}", where, joined(path)),
                        "is neither a text, a number, true or false, nor a list of texts");
      }
      entries.push_back({.path = path,
                         .value = {std::move(*value), fmt::format("{}: {}", where, joined(path))},
                         .where = where});
    }
    path.pop_back();
  }
  return {};
}

}  // namespace

result<std::vector<file_entry>> read_config_file(const std::filesystem::path& file) {
  std::error_code gone;
  const bool usable = std::filesystem::is_regular_file(file, gone);
  if (!usable) return bad_file(file.string(), "is no file that can be read");
  if (std::filesystem::file_size(file, gone) > file_bytes_max) {
    return bad_file(file.string(), "is larger than 1 MiB: that is no configuration");
  }
  std::ifstream in{file, std::ios::binary};
  const std::string text{std::istreambuf_iterator<char>{in}, std::istreambuf_iterator<char>{}};
  if (!in.good() && !in.eof()) return bad_file(file.string(), "cannot be read");
  try {
    const toml::table parsed = toml::parse(text, file.string());
    std::vector<file_entry> entries;
    std::vector<std::string> path;
    auto taken = collect(parsed, file.string(), path, entries);
    if (!taken) return std::unexpected(std::move(taken.error()));
    return entries;
  } catch (const toml::parse_error& wrong) {
    return bad_file(fmt::format("{}:{}", file.string(), wrong.source().begin.line),
                    fmt::format("is no TOML: {}", wrong.description()));
  }
}

}  // namespace millrace::cli
