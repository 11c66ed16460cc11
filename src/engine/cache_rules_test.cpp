#include <millrace/engine/cache_steps.hpp>
#include <millrace/engine/checks.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace millrace::engine {
namespace {

using namespace std::chrono_literals;

struct glob_case {
  const char* pattern;
  const char* text;
  bool fits;
};

TEST(Glob, FitsAsInRedis) {
  constexpr glob_case cases[] = {{"*", "", true},
                                 {"*", "anything", true},
                                 {"a*c", "abbbc", true},
                                 {"a*c", "abbb", false},
                                 {"a?c", "abc", true},
                                 {"a?c", "ac", false},
                                 {"h[ae]llo", "hallo", true},
                                 {"h[ae]llo", "hillo", false},
                                 {"h[^e]llo", "hallo", true},
                                 {"h[^e]llo", "hello", false},
                                 {"h[a-c]llo", "hbllo", true},
                                 {"h[c-a]llo", "hbllo", true},
                                 {R"(a\*b)", "a*b", true},
                                 {R"(a\*b)", "axb", false},
                                 {R"(a[\]]b)", "a]b", true},
                                 {"vector:7:*", "vector:7:abc", true},
                                 {"vector:7:*", "vector:77:abc", false},
                                 {"*a*b*c", "xxaxxbxxc", true},
                                 {"*a*b*c", "xxaxxcxxb", false},
                                 {"a", "", false},
                                 {"", "", true},
                                 {"", "a", false},
                                 {"a[b", "ab", true},
                                 {"**", "x", true}};
  for (const glob_case& each : cases) {
    EXPECT_EQ(matches_glob(each.pattern, each.text), each.fits)
        << each.pattern << " and " << each.text;
  }
}

// Many stars take no exponential time.
TEST(Glob, IsQuickOnHostilePatterns) {
  std::string pattern;
  for (int i = 0; i < 100; ++i) pattern += "*a";
  EXPECT_FALSE(matches_glob(pattern + "b", std::string(512, 'a')));
}

TEST(Glob, KnowsWhatItsTextsBeginWith) {
  EXPECT_EQ(glob_prefix("vector:7:*"), "vector:7:");
  EXPECT_EQ(glob_prefix(R"(a\*b?c)"), "a*b");
  EXPECT_EQ(glob_prefix("*"), "");
  EXPECT_EQ(glob_prefix("plain"), "plain");
}

std::string field_of(const step& what) {
  const result<void> checked = check_step(what);
  return checked ? "fine" : checked.error().field;
}

TEST(CacheChecks, NameWhatIsWrong) {
  const put_cache fine{.at = {.key = "k"}, .value = std::string("\0\xff", 2)};
  EXPECT_EQ(field_of(fine), "fine") << "any bytes";
  const auto changed = [&](auto change) {
    put_cache step = fine;
    change(step);
    return field_of(step);
  };
  EXPECT_EQ(changed([](put_cache& s) { s.at.key.clear(); }), "key");
  EXPECT_EQ(changed([](put_cache& s) { s.at.key = "a\nb"; }), "key");
  EXPECT_EQ(changed([](put_cache& s) { s.at.key.assign(513, 'k'); }), "key");
  EXPECT_EQ(changed([](put_cache& s) { s.at.key.assign(512, 'k'); }), "fine");
  EXPECT_EQ(changed([](put_cache& s) { s.ttl = 0ms; }), "ttl");
  EXPECT_EQ(changed([](put_cache& s) { s.ttl = -1s; }), "ttl");
  EXPECT_EQ(changed([](put_cache& s) { s.ttl = 1ms; }), "fine");
  EXPECT_EQ(changed([](put_cache& s) { s.ttl = 24h * 367; }), "ttl");
  EXPECT_EQ(changed([](put_cache& s) { s.stale_for = -1s; }), "stale_for");
  EXPECT_EQ(changed([](put_cache& s) { s.tags = {"a", "a"}; }), "tag");
  EXPECT_EQ(changed([](put_cache& s) { s.tags = {""}; }), "tag");
  EXPECT_EQ(changed([](put_cache& s) { s.tags = {std::string(129, 't')}; }), "tag");
  EXPECT_EQ(changed([](put_cache& s) {
              for (int i = 0; i < 17; ++i) s.tags.push_back(std::to_string(i));
            }),
            "tag");
  EXPECT_EQ(changed([](put_cache& s) { s.value.resize(cache_value_bytes_max); }), "fine");
  EXPECT_EQ(changed([](put_cache& s) { s.value.resize(cache_value_bytes_max + 1); }), "value");
  EXPECT_EQ(changed([](put_cache& s) { s.content_type = "a\r\nb"; }), "content_type");
  EXPECT_EQ(changed([](put_cache& s) { s.lease = ~std::uint64_t{0}; }), "lease");
  EXPECT_EQ(changed([](put_cache& s) { s.expects = cache_expectation::version; }), "version");
  EXPECT_EQ(field_of(claim_cache{.at = {.key = "k"}, .lease = 0s}), "lease");
  EXPECT_EQ(field_of(claim_cache{.at = {.key = "k"}, .lease = 2h}), "lease");
  EXPECT_EQ(field_of(release_claim{.at = {.key = "k"}}), "lease");
  EXPECT_EQ(field_of(delete_matching{.pattern = ""}), "pattern");
  EXPECT_EQ(field_of(invalidate_tag{.tag = ""}), "tag");
  EXPECT_EQ(field_of(clear_cache{.max = 0}), "max");
}

TEST(CacheChecks, LetARecordBeAddressedOnce) {
  transaction one;
  one.steps.push_back(put_cache{.at = {.key = "k"}});
  one.steps.push_back(delete_cache{.at = {.key = "l"}});
  one.steps.push_back(invalidate_tag{.tag = "k"});
  EXPECT_FALSE(check_transaction(one));
  one.steps.push_back(claim_cache{.at = {.key = "l"}});
  ASSERT_TRUE(check_transaction(one));
  EXPECT_EQ(check_transaction(one)->why.code, "duplicate_target");
}

TEST(CacheChecks, CountWhatAnEntryTakes) {
  const put_cache step{
      .at = {.key = "key"}, .value = "12345", .content_type = "t/t", .tags = {"a", "bc"}};
  EXPECT_EQ(cache_entry_bytes(step), cache_entry_overhead + 3 + 5 + 3 + 3);
}

}  // namespace
}  // namespace millrace::engine
