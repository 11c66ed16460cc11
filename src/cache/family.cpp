#include <millrace/cache/family.hpp>

#include <millrace/base/names.hpp>
#include <millrace/base/text_time.hpp>
#include <millrace/cache/entry_limits.hpp>
#include <millrace/cache/key_pattern.hpp>

#include <fmt/format.h>

#include <utility>

namespace millrace::cache {

namespace {

// Below it an entry would be over before it is read.
constexpr std::chrono::milliseconds ttl_min{1};
constexpr double jitter_max = 0.5;
constexpr std::size_t warm_max = 10'000;

class checker final {
public:
  checker(const family_spec& spec, std::string_view prefix) : spec_(spec), prefix_(prefix) {}

  result<void> run() const {
    if (auto fine = check_name(spec_.name, field("name")); !fine) return fine;
    const auto pattern = key_pattern::parse(spec_.pattern, field("pattern"));
    if (!pattern) return std::unexpected(pattern.error());
    if (auto fine = tags(*pattern); !fine) return fine;
    if (auto fine = times(); !fine) return fine;
    return rest();
  }

private:
  std::string field(std::string_view name) const { return fmt::format("{}.{}", prefix_, name); }

  result<void> tags(const key_pattern& of) const {
    if (spec_.tags.size() > entry_tags_max / 2) {
      return invalid(field("tags"),
                     fmt::format("a family has at most {} tags", entry_tags_max / 2));
    }
    for (const std::string& text : spec_.tags) {
      const auto tag = key_pattern::parse(text, field("tags"));
      if (!tag) return std::unexpected(tag.error());
      for (const std::string& part : tag->parts()) {
        if (of.has_part(part)) continue;
        return invalid(field("tags"),
                       fmt::format("the tag '{}' names the part '{}', which '{}' does not have",
                                   excerpt(text), part, excerpt(spec_.pattern)));
      }
    }
    return {};
  }

  result<void> ttl(std::string_view name, duration span) const {
    if (span >= ttl_min && span <= ttl_max) return {};
    return invalid(field(name), fmt::format("a time to live is 1 ms to 365 days, not {}",
                                            span.count() < 0 ? "negative" : format_duration(span)));
  }

  result<void> window(std::string_view name, duration span) const {
    if (span >= duration{0} && span <= ttl_max) return {};
    return invalid(field(name), "a window is 0 to 365 days");
  }

  result<void> times() const {
    if (spec_.encrypt && !spec_.ttl) {
      return invalid(field("ttl"), "what is encrypted states its time to live; add ttl = \"1h\"",
                     "encrypted_without_ttl");
    }
    if (spec_.ttl) {
      if (auto fine = ttl("ttl", *spec_.ttl); !fine) return fine;
    }
    if (spec_.negative_ttl) {
      if (auto fine = ttl("negative_ttl", *spec_.negative_ttl); !fine) return fine;
    }
    if (spec_.adaptive) {
      if (auto fine = adaptive(*spec_.adaptive); !fine) return fine;
    }
    for (const auto& [name, span] :
         {std::pair{"stale_while_revalidate", spec_.stale_while_revalidate},
          std::pair{"stale_if_error", spec_.stale_if_error},
          std::pair{"outage_for", spec_.outage_for}}) {
      if (auto fine = window(name, span); !fine) return fine;
    }
    return {};
  }

  result<void> adaptive(const adaptive_ttl& by) const {
    if (by.steps.empty() || by.steps.size() > 16) {
      return invalid(field("adaptive"), "an adaptive time to live has 1 to 16 steps");
    }
    for (std::size_t i = 0; i < by.steps.size(); ++i) {
      if (auto fine = ttl("adaptive", by.steps[i].ttl); !fine) return fine;
      if (i > 0 && by.steps[i].above >= by.steps[i - 1].above) {
        return invalid(field("adaptive"), "the steps go from the most accesses to the fewest");
      }
    }
    return ttl("adaptive", by.otherwise);
  }

  result<void> rest() const {
    if (!(spec_.jitter >= 0 && spec_.jitter <= jitter_max)) {
      return invalid(field("jitter"), "a share of the time to live from 0 to 0.5");
    }
    const bool serves = spec_.outage == outage_rule::serve_stale;
    if (serves != (spec_.outage_for > duration{0})) {
      return invalid(field("outage_for"),
                     serves ? "outage = \"serve_stale\" needs a bound; add outage_for = \"60s\""
                            : "outage_for is for outage = \"serve_stale\"; write that, or take it "
                              "out");
    }
    if (serves && !spec_.local) {
      return invalid(field("local"),
                     "outage = \"serve_stale\" serves what the process has itself; it needs "
                     "local = true");
    }
    if (spec_.warm > warm_max) {
      return invalid(field("warm"), fmt::format("at most {} keys are warmed", warm_max));
    }
    return {};
  }

  const family_spec& spec_;
  std::string_view prefix_;
};

}  // namespace

std::string_view to_string(outage_rule rule) noexcept {
  switch (rule) {
    case outage_rule::bypass: return "bypass";
    case outage_rule::serve_stale: return "serve_stale";
    case outage_rule::refuse: return "refuse";
  }
  return "bypass";
}

result<void> check_family(const family_spec& spec, std::string_view prefix) {
  return checker(spec, prefix).run();
}

}  // namespace millrace::cache
