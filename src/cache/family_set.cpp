#include <millrace/cache/family_set.hpp>

#include "family_matcher.hpp"

#include <millrace/base/names.hpp>
#include <millrace/cache/entry_limits.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace millrace::cache {

// A target of a rule: a key, a tag by which families are removed, or the beginning of keys.
struct family_set::rule_target {
  enum class removes : std::uint8_t { key, tag, prefix };
  removes kind{removes::key};
  // Up to the last `:` before the `*`.
  key_pattern pattern;
  // Of a tag or prefix: what follows the pattern, `:` or `:abc`.
  std::string tail;
};

struct family_set::compiled_rule {
  std::string name;
  std::vector<rule_target> targets;
};

namespace {

std::string setting_of(std::string_view kind, std::string_view name) {
  return fmt::format("cache.{}.{}", kind, excerpt(name));
}

// Whether keys of the family may begin with these fields.
bool may_begin(const key_pattern& family, const key_pattern& with) {
  const std::size_t count = with.fields().size();
  return count < family.fields().size() &&
         std::ranges::equal(with.fields(), family.fields().first(count), may_meet);
}

// The key up to its n-th colon, as a tag.
std::string prefix_tag(std::string_view key, std::size_t fields) {
  std::size_t end = 0;
  for (; fields > 0; --fields) end = key.find(':', end) + 1;
  return std::string(key.substr(0, end)) + '*';
}

result<void> known_parts(const key_pattern& pattern, std::span<const key_part> parts) {
  for (const key_part& one : parts) {
    if (pattern.has_part(one.name)) continue;
    return invalid(excerpt(one.name),
                   fmt::format("'{}' has no part '{}'", pattern.text(), excerpt(one.name)),
                   "unknown_part");
  }
  return {};
}

}  // namespace

family_set::family_set() : matcher_(std::make_unique<matcher>(families_)) {}
family_set::family_set(family_set&&) noexcept = default;
family_set& family_set::operator=(family_set&&) noexcept = default;
family_set::~family_set() = default;

result<family_set> family_set::make(std::vector<family_spec> families,
                                    std::vector<invalidation_rule> rules) {
  if (families.size() > families_max) {
    return invalid("cache.families", fmt::format("at most {} families", families_max));
  }
  if (rules.size() > rules_max) {
    return invalid("cache.rules", fmt::format("at most {} rules", rules_max));
  }
  family_set made;
  for (family_spec& spec : families) {
    if (auto fine = made.add_family(std::move(spec)); !fine) return std::unexpected(fine.error());
  }
  for (const invalidation_rule& rule : rules) {
    if (auto fine = made.add_rule(rule); !fine) return std::unexpected(fine.error());
  }
  made.rules_ = std::move(rules);
  made.matcher_ = std::make_unique<matcher>(made.families_);
  return made;
}

result<void> family_set::add_family(family_spec spec) {
  const std::string setting = setting_of("families", spec.name);
  if (auto fine = check_family(spec, setting); !fine) return fine;
  auto pattern = key_pattern::parse(spec.pattern, setting + ".pattern");
  for (const family& other : families_) {
    if (other.spec.name == spec.name) {
      return invalid(setting, "the family is declared twice; take one out");
    }
    if (compare(other.pattern, *pattern) == pattern_relation::ambiguous) {
      return invalid(
          setting + ".pattern",
          fmt::format("'{}' and '{}' of '{}' match the same keys, and neither says more; "
                      "change a literal of one",
                      spec.pattern, other.spec.pattern, other.spec.name),
          "ambiguous_pattern");
    }
  }
  family made{.pattern = std::move(*pattern), .number = families_.size()};
  for (const std::string& text : spec.tags) {
    made.tags.push_back(*key_pattern::parse(text, setting + ".tags"));
  }
  made.spec = std::move(spec);
  families_.push_back(std::move(made));
  return {};
}

result<family_set::rule_target> family_set::compile(std::string_view text,
                                                    std::string_view setting) {
  rule_target made;
  std::string_view head = text;
  const bool tag = head.starts_with('#');
  if (tag) {
    made.kind = rule_target::removes::tag;
    head.remove_prefix(1);
  }
  if (!tag && head.ends_with('*')) {
    const std::size_t colon = head.rfind(':');
    if (colon == std::string_view::npos) {
      return invalid(
          std::string(setting),
          fmt::format("'{}' would take half the cache; write the first field whole, as in "
                      "'vector:*'",
                      excerpt(text)));
    }
    made.kind = rule_target::removes::prefix;
    made.tail = head.substr(colon, head.size() - 1 - colon);
    if (made.tail.contains('{')) {
      return invalid(
          std::string(setting),
          fmt::format("'{}' has a part right before the *; a part is a whole field there, "
                      "as in 'vector:{{bot_id}}:*'",
                      excerpt(text)));
    }
    head = head.substr(0, colon);
  }
  auto pattern = key_pattern::parse(head, setting);
  if (!pattern) return std::unexpected(pattern.error());
  made.pattern = std::move(*pattern);
  if (made.kind != rule_target::removes::prefix || made.tail != ":") return made;
  // The entries of families that begin so carry a tag for it.
  const std::size_t count = made.pattern.fields().size();
  for (family& one : families_) {
    if (!may_begin(one.pattern, made.pattern)) continue;
    made.kind = rule_target::removes::tag;
    if (std::ranges::find(one.prefix_fields, count) == one.prefix_fields.end()) {
      one.prefix_fields.push_back(count);
    }
  }
  return made;
}

result<void> family_set::add_rule(const invalidation_rule& rule) {
  const std::string setting = setting_of("rules", rule.name);
  if (auto fine = check_name(rule.name, setting); !fine) return fine;
  if (std::ranges::find(compiled_, rule.name, &compiled_rule::name) != compiled_.end()) {
    return invalid(setting, "the rule is declared twice; take one out");
  }
  if (rule.removes.empty() || rule.removes.size() > rule_targets_max) {
    return invalid(setting + ".removes",
                   fmt::format("a rule removes 1 to {} patterns", rule_targets_max));
  }
  compiled_rule made{.name = rule.name};
  for (const std::string& text : rule.removes) {
    auto target = compile(text, setting + ".removes");
    if (!target) return std::unexpected(target.error());
    made.targets.push_back(std::move(*target));
  }
  compiled_.push_back(std::move(made));
  return {};
}

void family_set::renumber(const std::function<std::size_t(std::string_view name)>& number_of) {
  for (family& one : families_) one.number = number_of(one.spec.name);
}

const family* family_set::find(std::string_view name) const noexcept {
  const auto found =
      std::ranges::find_if(families_, [&](const family& one) { return one.spec.name == name; });
  return found == families_.end() ? nullptr : &*found;
}

std::optional<family_match> family_set::match(std::string_view key) const noexcept {
  family_match found;
  const std::size_t place = matcher_->match(key, found.parts);
  if (place == matcher::none) return std::nullopt;
  found.of = &families_[place];
  found.key = key;
  return found;
}

const family* family_set::family_of(std::string_view key) const noexcept {
  const std::size_t place = matcher_->find(key);
  return place == matcher::none ? nullptr : &families_[place];
}

result<std::string> family_set::key(std::string_view family_name,
                                    std::span<const key_part> parts) const {
  const family* of = find(family_name);
  if (of == nullptr) {
    return invalid("family", fmt::format("there is no family '{}'", excerpt(family_name)),
                   "unknown_family");
  }
  if (auto fine = known_parts(of->pattern, parts); !fine) return std::unexpected(fine.error());
  return of->pattern.fill(parts);
}

std::vector<std::string> family_set::tags(const family_match& of) {
  const std::span values = std::span(of.parts.values).first(of.parts.count);
  std::vector<std::string> made;
  for (const key_pattern& tag : of.of->tags) {
    std::vector<std::string_view> own;
    for (const std::string& part : tag.parts()) {
      const auto at = std::ranges::find(of.of->pattern.parts(), part);
      own.push_back(values[static_cast<std::size_t>(at - of.of->pattern.parts().begin())]);
    }
    made.push_back(tag.fill_in_order(own));
  }
  for (const std::size_t fields : of.of->prefix_fields) made.push_back(prefix_tag(of.key, fields));
  return made;
}

result<invalidation> family_set::expand(std::string_view rule,
                                        std::span<const key_part> parts) const {
  const auto found = std::ranges::find(compiled_, rule, &compiled_rule::name);
  if (found == compiled_.end()) {
    return invalid("rule", fmt::format("there is no rule '{}'", excerpt(rule)), "unknown_rule");
  }
  invalidation made;
  for (const rule_target& one : found->targets) {
    auto text = one.pattern.fill(parts);
    if (!text) return std::unexpected(text.error());
    switch (one.kind) {
      case rule_target::removes::key: made.keys.push_back(std::move(*text)); break;
      case rule_target::removes::tag:
        made.tags.push_back(one.tail.empty() ? std::move(*text) : *text + ":*");
        break;
      case rule_target::removes::prefix: made.prefixes.push_back(*text + one.tail); break;
    }
  }
  return made;
}

}  // namespace millrace::cache
