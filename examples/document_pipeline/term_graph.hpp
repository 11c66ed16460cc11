#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace pipeline {

/// Which terms stand together in how many documents.
struct term_graph {
  struct node {
    std::string term;
    /// Documents that have the term.
    std::size_t documents{0};
    /// Sum of the weights of its edges.
    std::size_t degree{0};
  };
  struct edge {
    std::string from, to;
    /// Documents that have both.
    std::size_t documents{0};
  };
  /// Best connected first.
  std::vector<node> nodes;
  /// Heaviest first.
  std::vector<edge> edges;
};

/// Builds the graph of the given documents' terms: at most 40 nodes and 80 edges.
[[nodiscard]] term_graph build_term_graph(
    const std::vector<std::vector<std::string>>& terms_of_documents);

}  // namespace pipeline
