#pragma once

#include <millrace/base/error.hpp>
#include <millrace/cache/family.hpp>
#include <millrace/cache/key_pattern.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::cache {

/// A declared family with its patterns read.
struct family {
  family_spec spec;
  key_pattern pattern;
  std::vector<key_pattern> tags;
  /// What statistics count by, below `families_max`: its place in the set, unless it was numbered
  /// anew.
  std::size_t number{0};
  /// Rules remove entries by the first so many fields of their key: each is a tag, `vector:7:*`.
  std::vector<std::size_t> prefix_fields;
};

/// The family of a key, with the values of its parts.
struct family_match {
  const family* of{nullptr};
  std::string_view key;
  part_values parts;
};

/// What a rule removes, once its parts are known.
struct invalidation {
  std::vector<std::string> keys;
  /// O(1) each, however many entries they take.
  std::vector<std::string> tags;
  /// Beginnings that no declared family has, or within a field: only a walk finds such keys.
  std::vector<std::string> prefixes;
};

/// All families and rules of a cache.
///
/// Guarantees: of two families that match a key the one that says more is taken; a set in which
/// that
///             cannot be said is refused.
/// Threading:  nothing changes after `make` and `renumber`; used from any thread.
/// Cost:       `match` walks the fields of a key once and takes no memory.
class family_set final {
public:
  /// Errors: invalid_argument (a spec or a rule that does not hold, names twice, two patterns that
  ///         match one key equally well).
  [[nodiscard]] static result<family_set> make(std::vector<family_spec> families,
                                               std::vector<invalidation_rule> rules);
  /// Gives each family the number that its name has, so that those that another set had too are
  /// counted on.
  void renumber(const std::function<std::size_t(std::string_view name)>& number_of);

  family_set();
  family_set(family_set&&) noexcept;
  family_set& operator=(family_set&&) noexcept;
  ~family_set();

  [[nodiscard]] std::span<const family> families() const noexcept { return families_; }
  [[nodiscard]] std::span<const invalidation_rule> rules() const noexcept { return rules_; }
  /// None where there is no family of that name.
  [[nodiscard]] const family* find(std::string_view name) const noexcept;
  /// None where the key belongs to no family.
  [[nodiscard]] std::optional<family_match> match(std::string_view key) const noexcept;

  /// The same, where its parts are of no interest: a look at the fields, no more.
  [[nodiscard]] const family* family_of(std::string_view key) const noexcept;

  /// The key of a family.
  /// Errors: invalid_argument (unknown family; a part missing, unknown, empty, with `:` or control
  ///         characters; the key longer than 512 bytes).
  [[nodiscard]] result<std::string> key(std::string_view family_name,
                                        std::span<const key_part> parts) const;
  /// The tags that an entry of this key carries by its family.
  [[nodiscard]] static std::vector<std::string> tags(const family_match& of);

  /// What goes when `rule` happens. Of keys that begin so, those of declared families go by a tag;
  /// keys outside every family are not looked for where there is such a tag.
  /// Errors: invalid_argument (unknown rule; a part missing or invalid).
  [[nodiscard]] result<invalidation> expand(std::string_view rule,
                                            std::span<const key_part> parts) const;

private:
  class matcher;
  struct rule_target;
  struct compiled_rule;

  result<void> add_family(family_spec spec);
  result<rule_target> compile(std::string_view text, std::string_view setting);
  result<void> add_rule(const invalidation_rule& rule);

  std::vector<family> families_;
  std::vector<invalidation_rule> rules_;
  std::vector<compiled_rule> compiled_;
  std::unique_ptr<matcher> matcher_;
};

}  // namespace millrace::cache
