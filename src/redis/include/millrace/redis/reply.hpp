#pragma once

#include <millrace/base/error.hpp>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::redis {

/// What a value of a reply is. RESP2's nil string and nil array are `null`.
enum class reply_kind : std::uint8_t {
  null,
  /// `+OK`.
  simple,
  /// A string of any bytes.
  bulk,
  /// Text with a format; the format itself (`txt`, `mkd`) is left out.
  verbatim,
  /// `-ERR …`, or the same as a string of any bytes.
  error,
  integer,
  real,
  boolean,
  /// Digits that fit no integer, as text.
  big_number,
  array,
  set,
  /// Keys and values in turn.
  map,
  /// Sent by the server unasked.
  push,
};

[[nodiscard]] std::string_view to_string(reply_kind kind) noexcept;

namespace detail {
/// One value. Values stand in the order of the wire, so that what is inside an aggregate follows
/// it.
struct reply_node {
  /// Integer; bits of a double; offset of a text.
  std::int64_t payload{0};
  /// Bytes of a text; number of elements (of a map: keys and values).
  std::uint32_t size{0};
  /// The index after the last value inside this one.
  std::uint32_t end{1};
  reply_kind kind{reply_kind::null};
};
}  // namespace detail

/// Looks at one value of a reply, and through it at those inside. Cheap to copy.
///
/// Lifetime: valid as long as the reply it was taken from is neither changed, moved nor destroyed.
class reply_view final {
public:
  reply_view(const detail::reply_node* nodes, std::uint32_t index, const char* bytes) noexcept
      : nodes_(nodes), bytes_(bytes), index_(index) {}

  [[nodiscard]] reply_kind kind() const noexcept { return node().kind; }
  [[nodiscard]] bool is_null() const noexcept { return kind() == reply_kind::null; }
  [[nodiscard]] bool is_error() const noexcept { return kind() == reply_kind::error; }
  [[nodiscard]] bool is_integer() const noexcept { return kind() == reply_kind::integer; }
  /// simple, bulk, verbatim or big_number.
  [[nodiscard]] bool is_text() const noexcept;
  /// array, set, map or push.
  [[nodiscard]] bool is_aggregate() const noexcept { return kind() >= reply_kind::array; }

  /// The bytes of a text, a big number or an error; empty for anything else.
  [[nodiscard]] std::string_view text() const noexcept;
  /// The number; a boolean as 0 or 1; 0 for anything else.
  [[nodiscard]] std::int64_t integer() const noexcept;

  /// How many values are directly inside an aggregate (a map: keys and values, so twice its
  /// entries); 0 for anything else.
  [[nodiscard]] std::size_t size() const noexcept { return is_aggregate() ? node().size : 0; }
  /// Value number `at` inside. Requires: `at < size()`. Cost: O(1) where no aggregate is inside,
  /// O(at) otherwise; iterate instead.
  [[nodiscard]] reply_view operator[](std::size_t at) const noexcept;
  /// The value behind `key`, of a map, or of an array that is one in RESP2. Cost: O(size).
  [[nodiscard]] std::optional<reply_view> find(std::string_view key) const noexcept;

  class iterator;
  [[nodiscard]] iterator begin() const noexcept;
  [[nodiscard]] iterator end() const noexcept;

  /// The same with a check: an error of the server is the error it tells (`to_error`), another kind
  /// of value is corrupted (`unexpected_reply`).
  [[nodiscard]] result<std::string_view> as_text() const;
  /// An integer, or a text of digits.
  [[nodiscard]] result<std::int64_t> as_integer() const;
  /// A double or an integer, or a text that is one.
  [[nodiscard]] result<double> as_real() const;
  /// An aggregate; itself.
  [[nodiscard]] result<reply_view> as_aggregate() const;

private:
  [[nodiscard]] const detail::reply_node& node() const noexcept { return nodes_[index_]; }
  [[nodiscard]] std::unexpected<error> not_a(std::string_view wanted) const;

  const detail::reply_node* nodes_;
  const char* bytes_;
  std::uint32_t index_;
};

/// Over the values directly inside an aggregate.
class reply_view::iterator final {
public:
  using iterator_category = std::input_iterator_tag;
  using value_type = reply_view;
  using difference_type = std::ptrdiff_t;
  using pointer = void;
  using reference = reply_view;

  iterator(const detail::reply_node* nodes, std::uint32_t index, const char* bytes) noexcept
      : nodes_(nodes), bytes_(bytes), index_(index) {}

  reply_view operator*() const noexcept { return {nodes_, index_, bytes_}; }
  iterator& operator++() noexcept {
    index_ = nodes_[index_].end;
    return *this;
  }
  iterator operator++(int) noexcept {
    const iterator before = *this;
    ++*this;
    return before;
  }
  friend bool operator==(const iterator& a, const iterator& b) noexcept {
    return a.index_ == b.index_;
  }

private:
  const detail::reply_node* nodes_{nullptr};
  const char* bytes_{nullptr};
  std::uint32_t index_{0};
};

/// One whole reply of the server, with all that is inside it.
///
/// Cost: a single value of up to 15 bytes needs no allocation, a longer one needs one, an aggregate
/// of whatever shape two.
class reply final {
public:
  /// null.
  reply() = default;
  reply(detail::reply_node root, std::vector<detail::reply_node> nodes, std::string bytes) noexcept
      : root_(root), nodes_(std::move(nodes)), bytes_(std::move(bytes)) {}

  /// The outermost value. Moving the reply makes its views invalid.
  [[nodiscard]] reply_view view() const noexcept {
    return {nodes_.empty() ? &root_ : nodes_.data(), 0, bytes_.data()};
  }
  [[nodiscard]] reply_kind kind() const noexcept { return root_.kind; }
  [[nodiscard]] bool is_null() const noexcept { return view().is_null(); }
  [[nodiscard]] std::string_view text() const noexcept { return view().text(); }
  [[nodiscard]] std::int64_t integer() const noexcept { return view().integer(); }
  [[nodiscard]] std::size_t size() const noexcept { return view().size(); }
  [[nodiscard]] reply_view operator[](std::size_t at) const noexcept { return view()[at]; }

private:
  detail::reply_node root_;
  /// Empty where the root is the only value.
  std::vector<detail::reply_node> nodes_;
  std::string bytes_;
};

}  // namespace millrace::redis
