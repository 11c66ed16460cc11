#include "summarize.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

namespace pipeline {
namespace {

constexpr std::size_t sentences_considered_max = 2000;
constexpr std::size_t summary_bytes_max = 400;
constexpr std::size_t summary_sentences = 3;
constexpr std::size_t terms_kept = 12;

const std::unordered_set<std::string_view>& stop_words() {
  static const std::unordered_set<std::string_view> words{
      "the",  "and",   "for",   "that",  "with",  "this",  "are",     "not",  "you",     "from",
      "was",  "have",  "has",   "can",   "but",   "all",   "will",    "any",  "your",    "which",
      "its",  "may",   "use",   "used",  "one",   "when",  "were",    "been", "their",   "they",
      "also", "other", "these", "than",  "such",  "there", "into",    "only", "more",    "should",
      "then", "must",  "about", "some",  "does",  "would", "under",   "each", "see",     "our",
      "how",  "what",  "who",   "where", "while", "shall", "without", "here", "them",    "had",
      "his",  "her",   "him",   "she",   "out",   "over",  "very",    "both", "because", "via",
      "http", "https", "www",   "com",   "org"};
  return words;
}

bool in_word(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return std::isalpha(byte) != 0 || byte >= 0x80 || c == '\'';
}

template <class Take>
void for_each_word(std::string_view text, Take take) {
  std::size_t at = 0;
  while (at < text.size()) {
    while (at < text.size() && !in_word(text[at])) ++at;
    const std::size_t begin = at;
    while (at < text.size() && in_word(text[at])) ++at;
    if (at > begin) take(text.substr(begin, at - begin));
  }
}

std::string lower(std::string_view word) {
  std::string out{word};
  std::ranges::transform(out, out.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

bool is_term(std::string_view word) {
  return word.size() >= 3 && word.size() <= 30 && !stop_words().contains(word);
}

std::string squeeze(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool space = std::isspace(static_cast<unsigned char>(c)) != 0;
    if (space && (out.empty() || out.back() == ' ')) continue;
    out += space ? ' ' : c;
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

// Ends at `.`, `!`, `?` before white space, and at an empty line (headings have no full stop).
std::vector<std::string> split_sentences(std::string_view text) {
  std::vector<std::string> out;
  std::size_t begin = 0;
  const auto end_at = [&](std::size_t end) {
    std::string sentence = squeeze(text.substr(begin, end - begin));
    if (sentence.size() >= 20) out.push_back(std::move(sentence));
    begin = end;
  };
  for (std::size_t at = 0; at + 1 < text.size() && out.size() < sentences_considered_max; ++at) {
    const char c = text[at];
    const bool space_follows = std::isspace(static_cast<unsigned char>(text[at + 1])) != 0;
    if ((c == '.' || c == '!' || c == '?') && space_follows) end_at(at + 1);
    if (c == '\n' && text[at + 1] == '\n') end_at(at + 1);
  }
  if (out.size() < sentences_considered_max) end_at(text.size());
  return out;
}

void cut_utf8(std::string& text, std::size_t bytes) {
  if (text.size() <= bytes) return;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0U) == 0x80U) --bytes;
  text.resize(bytes);
  text += "…";
}

using term_counts = std::unordered_map<std::string, std::size_t>;

std::vector<double> weigh(const std::vector<std::string>& sentences, const term_counts& counts) {
  std::vector<double> weights;
  weights.reserve(sentences.size());
  for (std::size_t i = 0; i < sentences.size(); ++i) {
    double sum = 0;
    std::size_t words = 0;
    for_each_word(sentences[i], [&](std::string_view word) {
      ++words;
      const auto found = counts.find(lower(word));
      if (found != counts.end()) sum += std::log1p(static_cast<double>(found->second));
    });
    const bool telling = words >= 5 && words <= 60;
    const double early = 1.0 + 0.3 / (1.0 + static_cast<double>(i));
    weights.push_back(telling ? early * sum / static_cast<double>(words) : 0);
  }
  return weights;
}

std::vector<std::size_t> heaviest(const std::vector<double>& weights) {
  std::vector<std::size_t> order(weights.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  const std::size_t kept = std::min(summary_sentences, order.size());
  std::ranges::partial_sort(order, order.begin() + static_cast<std::ptrdiff_t>(kept),
                            [&](std::size_t a, std::size_t b) {
                              return weights[a] != weights[b] ? weights[a] > weights[b] : a < b;
                            });
  order.resize(kept);
  std::ranges::sort(order);
  return order;
}

}  // namespace

summary summarize(std::string_view text) {
  summary out;
  term_counts counts;
  for_each_word(text, [&](std::string_view word) {
    ++out.words;
    std::string term = lower(word);
    if (is_term(term)) ++counts[std::move(term)];
  });
  const std::vector<std::string> sentences = split_sentences(text);
  out.sentences = sentences.size();
  for (const std::size_t i : heaviest(weigh(sentences, counts))) {
    if (!out.text.empty()) out.text += ' ';
    out.text += sentences[i];
  }
  cut_utf8(out.text, summary_bytes_max);

  out.terms.assign(counts.begin(), counts.end());
  std::ranges::sort(out.terms, [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  if (out.terms.size() > terms_kept) out.terms.resize(terms_kept);
  return out;
}

}  // namespace pipeline
