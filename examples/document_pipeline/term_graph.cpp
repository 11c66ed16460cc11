#include "term_graph.hpp"

#include <algorithm>

namespace pipeline {
namespace {
constexpr std::size_t nodes_max = 40;
constexpr std::size_t edges_max = 80;
}  // namespace

term_graph build_term_graph(const std::vector<std::vector<std::string>>& terms_of_documents) {
  std::map<std::string, std::size_t> documents;
  for (const auto& terms : terms_of_documents) {
    for (const std::string& term : terms) ++documents[term];
  }
  std::vector<std::pair<std::string, std::size_t>> common{documents.begin(), documents.end()};
  std::ranges::sort(common, [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  if (common.size() > nodes_max) common.resize(nodes_max);

  std::map<std::string, term_graph::node> nodes;
  for (const auto& [term, count] : common) nodes[term] = {term, count, 0};
  std::map<std::pair<std::string, std::string>, std::size_t> together;
  for (const auto& terms : terms_of_documents) {
    for (std::size_t i = 0; i < terms.size(); ++i) {
      for (std::size_t j = i + 1; j < terms.size(); ++j) {
        if (terms[i] == terms[j] || !nodes.contains(terms[i]) || !nodes.contains(terms[j])) {
          continue;
        }
        ++together[std::minmax(terms[i], terms[j])];
        ++nodes[terms[i]].degree;
        ++nodes[terms[j]].degree;
      }
    }
  }

  term_graph out;
  for (auto& [term, node] : nodes) out.nodes.push_back(std::move(node));
  std::ranges::sort(out.nodes, [](const auto& a, const auto& b) {
    return a.degree != b.degree ? a.degree > b.degree : a.term < b.term;
  });
  for (const auto& [pair, count] : together) {
    out.edges.push_back({pair.first, pair.second, count});
  }
  std::ranges::sort(out.edges, [](const auto& a, const auto& b) {
    if (a.documents != b.documents) return a.documents > b.documents;
    return std::pair{a.from, a.to} < std::pair{b.from, b.to};
  });
  if (out.edges.size() > edges_max) out.edges.resize(edges_max);
  return out;
}

}  // namespace pipeline
