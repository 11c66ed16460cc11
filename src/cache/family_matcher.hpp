#pragma once

#include <millrace/cache/family_set.hpp>
#include <millrace/cache/key_pattern.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::cache {

/// The first bytes of a text as a number, so that most texts are told apart by one comparison.
[[nodiscard]] inline std::uint64_t head_of(std::string_view text) noexcept {
  static_assert(std::endian::native == std::endian::little);
  // Halves that overlap have the same bytes where they do.
  const auto halves = [text]<class Half>(Half first, Half last) {
    const std::size_t bytes = sizeof(Half);
    std::memcpy(&first, text.data(), bytes);
    std::memcpy(&last, text.data() + text.size() - bytes, bytes);
    return std::uint64_t{first} | std::uint64_t{last} << (8 * (text.size() - bytes));
  };
  std::uint64_t head = 0;
  if (text.size() >= sizeof(head)) {
    std::memcpy(&head, text.data(), sizeof(head));
    return head;
  }
  if (text.size() >= sizeof(std::uint32_t)) return halves(std::uint32_t{0}, std::uint32_t{0});
  if (text.size() >= sizeof(std::uint16_t)) return halves(std::uint16_t{0}, std::uint16_t{0});
  return text.empty() ? 0 : static_cast<unsigned char>(text.front());
}

/// The patterns of a set as a tree of fields. At every field literals are tried first, then parts
/// with the longest text around them: since no two patterns are ambiguous, the first that matches
/// to the end says most.
class family_set::matcher final {
public:
  explicit matcher(std::span<const family> families) : nodes_(1) {
    for (std::size_t place = 0; place < families.size(); ++place) add(families[place], place);
    for (node& one : nodes_) order(one);
  }

  [[nodiscard]] std::size_t match(std::string_view key, part_values& parts) const noexcept {
    return walk(0, key, parts);
  }
  /// The same without the parts: every read asks for it.
  [[nodiscard]] std::size_t find(std::string_view key) const noexcept { return seek(0, key); }

  static constexpr std::size_t none = static_cast<std::size_t>(-1);

private:
  struct edge {
    key_pattern::field shape;
    std::size_t to{0};
  };
  /// A literal as it is compared when no parts are wanted.
  struct word {
    std::uint64_t head{0};
    std::size_t bytes{0};
    std::size_t to{0};
    std::string text;
  };
  struct node {
    std::vector<edge> edges;
    /// Its place in the set.
    std::size_t family{none};
    std::vector<word> words;
    /// Those of `edges` that are no literals, in their order.
    std::vector<edge> parts;
  };

  void add(const family& one, std::size_t place) {
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
    nodes_[at].family = place;
  }

  static void order(node& one) {
    const auto worth = [](const edge& e) {
      return e.shape.part.empty() ? std::string::npos
                                  : e.shape.before.size() + e.shape.after.size();
    };
    std::ranges::sort(one.edges, std::ranges::greater{}, worth);
    for (const edge& each : one.edges) {
      const std::string& text = each.shape.before;
      if (each.shape.part.empty()) {
        one.words.push_back({head_of(text), text.size(), each.to, text});
      } else {
        one.parts.push_back(each);
      }
    }
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

  [[nodiscard]] static bool takes(const edge& part, std::string_view field) noexcept {
    const key_pattern::field& shape = part.shape;
    if (shape.before.empty() && shape.after.empty()) return !field.empty();
    std::string_view value;
    return matches(shape, field, value);
  }

  /// The first field of a key, and its head.
  struct first_field {
    explicit first_field(std::string_view rest) noexcept : head(head_of(rest)) {
      // A byte is zero where there is a colon; the lowest of them is found by what it borrows.
      constexpr std::uint64_t ones = 0x0101'0101'0101'0101;
      const std::uint64_t off = head ^ (ones * ':');
      const std::uint64_t colons = (off - ones) & ~off & (ones << 7U);
      if (colons != 0) {
        bytes = static_cast<std::size_t>(std::countr_zero(colons)) / 8;
        head &= (std::uint64_t{1} << (8 * bytes)) - 1;
      } else if (rest.size() > sizeof(head)) {
        bytes = std::min(rest.find(':', sizeof(head)), rest.size());
      } else {
        bytes = rest.size();
      }
    }
    std::uint64_t head;
    std::size_t bytes{0};
  };

  [[nodiscard]] static const word* find_word(const node& in, const first_field& first,
                                             std::string_view field) noexcept {
    for (const word& one : in.words) {
      if (one.head != first.head || one.bytes != first.bytes) continue;
      if (one.bytes <= sizeof(one.head) || one.text == field) return &one;
    }
    return nullptr;
  }

  [[nodiscard]] std::size_t seek(std::size_t at, std::string_view rest) const noexcept {
    while (true) {
      const first_field first(rest);
      const bool last = first.bytes == rest.size();
      const std::string_view field = rest.substr(0, first.bytes);
      if (!last) rest.remove_prefix(first.bytes + 1);
      const node& in = nodes_[at];
      const word* const named = find_word(in, first, field);
      std::size_t next = named == nullptr ? none : named->to;
      for (const edge& part : in.parts) {
        if (!takes(part, field)) continue;
        // Only where several take the field, one is tried by itself.
        if (next != none) {
          const std::size_t found = last ? nodes_[next].family : seek(next, rest);
          if (found != none) return found;
        }
        next = part.to;
      }
      if (next == none) return none;
      if (last) return nodes_[next].family;
      at = next;
    }
  }

  std::vector<node> nodes_;
};

}  // namespace millrace::cache
