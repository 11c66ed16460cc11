#pragma once

#include <millrace/cache/family_set.hpp>
#include <millrace/cache/key_pattern.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::cache {

/// The patterns of a set as a tree of fields. At every field literals are tried first, then parts
/// with the longest text around them: since no two patterns are ambiguous, the first that matches
/// to the end says most.
class family_set::matcher final {
public:
  explicit matcher(std::span<const family> families) : nodes_(1) {
    for (const family& one : families) add(one);
    for (node& one : nodes_) order(one);
  }

  [[nodiscard]] std::size_t match(std::string_view key, part_values& parts) const noexcept {
    return walk(0, key, parts);
  }

  static constexpr std::size_t none = static_cast<std::size_t>(-1);

private:
  struct edge {
    key_pattern::field shape;
    std::size_t to{0};
  };
  struct node {
    std::vector<edge> edges;
    std::size_t family{none};
  };

  void add(const family& one) {
    std::size_t at = 0;
    for (const key_pattern::field& shape : one.pattern.fields()) {
      const auto same = [&](const edge& other) {
        return other.shape.before == shape.before && other.shape.after == shape.after &&
               other.shape.part.empty() == shape.part.empty();
      };
      auto& edges = nodes_[at].edges;
      const auto found = std::ranges::find_if(edges, same);
      if (found != edges.end()) {
        at = found->to;
        continue;
      }
      edges.push_back({shape, nodes_.size()});
      at = nodes_.size();
      nodes_.emplace_back();
    }
    nodes_[at].family = one.number;
  }

  static void order(node& one) {
    const auto worth = [](const edge& e) {
      return e.shape.part.empty() ? std::string::npos
                                  : e.shape.before.size() + e.shape.after.size();
    };
    std::ranges::sort(one.edges, std::ranges::greater{}, worth);
  }

  [[nodiscard]] std::size_t walk(std::size_t at, std::string_view rest,
                                 part_values& parts) const noexcept {
    const std::size_t end = rest.find(':');
    const std::string_view field = rest.substr(0, end);
    for (const edge& one : nodes_[at].edges) {
      std::string_view value;
      if (!matches(one.shape, field, value)) continue;
      const std::size_t before = parts.count;
      if (!one.shape.part.empty()) parts.values[parts.count++] = value;
      const std::size_t found = end == std::string_view::npos
                                    ? nodes_[one.to].family
                                    : walk(one.to, rest.substr(end + 1), parts);
      if (found != none) return found;
      parts.count = before;
    }
    return none;
  }

  std::vector<node> nodes_;
};

}  // namespace millrace::cache
