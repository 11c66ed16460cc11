#include "fixture.hpp"

#include <millrace/base/testing.hpp>
#include <millrace/engine/limits.hpp>

#include <algorithm>

namespace millrace::conformance {
namespace {

using changes = std::vector<session_change>;

// A hash of this engine's making would look like it.
session_key named(char of, std::string project = "default") {
  return {.project = std::move(project), .hash = std::string(session_hash_chars, of)};
}

class session_test : public engine_test {
protected:
  session_info begin(char of, std::string user = "ann", session_rules rules = {}) {
    return begin({.key = named(of), .user = std::move(user), .rules = rules});
  }
  session_info begin(create_session step) { return run(std::move(step)).session; }
  [[nodiscard]] std::optional<session_info> find(char of) { return ask(find_session{named(of)}); }
  [[nodiscard]] session_info look_at(char of) { return find(of).value_or(session_info{}); }
  [[nodiscard]] std::vector<std::uint64_t> refs(std::optional<std::string> user) {
    std::vector<std::uint64_t> out;
    for (const session_info& each : ask(list_sessions{.user = std::move(user)}).items) {
      out.push_back(each.ref);
    }
    return out;
  }
  std::string change(char of, changes what, std::uint64_t if_version = 0) {
    return refusal_of(
        change_session{.key = named(of), .changes = std::move(what), .if_version = if_version});
  }
};

#define MILLRACE_SESSION_SUITE(suite)   \
  class suite : public session_test {}; \
  INSTANTIATE_TEST_SUITE_P(Engine, suite, testing::ValuesIn(engines_under_test()), case_name)

MILLRACE_SESSION_SUITE(Session);

TEST_P(Session, IsFoundAsItWasBegun) {
  const auto made = begin({.key = named('a'),
                           .user = "ann",
                           .label = "Firefox on a telephone",
                           .fields = {{"cart", "[1, 2]"}, {"näme", "\"Zoë\""}},
                           .rules = {.idle = 1h, .absolute = 24h, .touch_every = 5s}});
  EXPECT_EQ(made.version, 1U);
  EXPECT_GT(made.ref, 0U);
  EXPECT_LT(made.ref, std::uint64_t{1} << 53U);
  EXPECT_FALSE(made.former);
  EXPECT_EQ(made.times, (session_times{now(), now(), now() + 1h}));
  const auto found = look_at('a');
  EXPECT_EQ(found.key, named('a'));
  EXPECT_EQ(found.ref, made.ref);
  EXPECT_EQ(found.user, "ann");
  EXPECT_EQ(found.label, "Firefox on a telephone");
  EXPECT_EQ(found.rules, made.rules);
  EXPECT_EQ(found.times, made.times);
  EXPECT_EQ(found.version, 1U);
  EXPECT_EQ(found.fields, (session_fields{{"cart", "[1, 2]"}, {"näme", "\"Zoë\""}}));
  EXPECT_FALSE(find('b'));
  EXPECT_FALSE(ask(find_session{named('a', "p")}));
}

TEST_P(Session, HasAnIdOfItsOwn) {
  begin('a');
  EXPECT_EQ(refusal_of(create_session{.key = named('a'), .user = "bea"}), "session_exists");
  EXPECT_EQ(look_at('a').user, "ann");
  EXPECT_EQ(refusal_of(create_session{.key = named('a', "p")}), "done");
}

TEST_P(Session, EndsWithoutUseToTheMicrosecond) {
  begin('a', "ann", {.idle = 1h});
  advance(1h - 1us);
  EXPECT_TRUE(find('a'));
  advance(1us);
  EXPECT_FALSE(find('a'));
  EXPECT_EQ(refusal_of(touch_session{named('a')}), "session_not_found");
  EXPECT_EQ(change('a', {{"x", "1"}}), "session_not_found");
  EXPECT_EQ(refusal_of(end_session{named('a')}), "session_not_found");
  EXPECT_EQ(ask(list_sessions{}).count, 0U);
}

TEST_P(Session, LivesOnWithUseThatIsWrittenRarely) {
  begin('a', "ann", {.idle = 1h, .touch_every = 60s});
  const timestamp start = now();
  advance(60s - 1us);
  EXPECT_EQ(run(touch_session{named('a')}).session.times.expires_at, start + 1h);
  advance(1us);
  EXPECT_EQ(run(touch_session{named('a')}).session.times.expires_at, start + 1h + 60s);
  EXPECT_EQ(look_at('a').times, (session_times{start, start + 60s, start + 1h + 60s}));
  // To look is no use.
  advance(30min);
  EXPECT_EQ(look_at('a').times.touched_at, start + 60s);
  EXPECT_EQ(change('a', {{"x", "1"}}), "done");
  EXPECT_EQ(look_at('a').times.expires_at, now() + 1h);
  EXPECT_EQ(look_at('a').version, 2U);
}

TEST_P(Session, EndsAtItsAbsoluteAge) {
  const timestamp start = now();
  begin('a', "ann", {.idle = 1h, .absolute = 90min, .touch_every = 0s});
  advance(50min);
  EXPECT_EQ(run(touch_session{named('a')}).session.times.expires_at, start + 90min);
  advance(39min);
  EXPECT_EQ(run(touch_session{named('a')}).session.times.expires_at, start + 90min);
  advance(1min);
  EXPECT_FALSE(find('a'));
}

TEST_P(Session, MergesWhatTwoChange) {
  begin({.key = named('a'), .fields = {{"cart", "[]"}, {"page", "1"}, {"old", "true"}}});
  EXPECT_EQ(change('a', {{"cart", "[7]"}}), "done");
  EXPECT_EQ(change('a', {{"page", "2"}, {"old", std::nullopt}, {"new", "null"}}), "done");
  const auto after = look_at('a');
  EXPECT_EQ(after.fields, (session_fields{{"cart", "[7]"}, {"new", "null"}, {"page", "2"}}));
  EXPECT_EQ(after.version, 3U);
  // Nothing changes, and nobody is told that it did.
  EXPECT_EQ(change('a', {{"page", "2"}, {"gone", std::nullopt}}), "done");
  EXPECT_EQ(look_at('a').version, 3U);
}

TEST_P(Session, ChangesOnlyAtTheVersionThatWasRead) {
  begin('a');
  EXPECT_EQ(change('a', {{"x", "1"}}, 1), "done");
  EXPECT_EQ(change('a', {{"x", "2"}}, 1), "version_changed");
  EXPECT_EQ(look_at('a').fields, (session_fields{{"x", "1"}}));
  EXPECT_EQ(change('a', {{"x", "2"}}, 2), "done");
}

TEST_P(Session, IsReplacedAsAWhole) {
  begin({.key = named('a'), .fields = {{"a", "1"}, {"b", "2"}}});
  const auto done = run(change_session{
      .key = named('a'), .changes = changes{{"b", "2"}, {"c", "{\"d\": [4]}"}}, .replace = true});
  EXPECT_EQ(done.session.fields, (session_fields{{"b", "2"}, {"c", "{\"d\": [4]}"}}));
  EXPECT_EQ(done.session.version, 2U);
  EXPECT_EQ(run(change_session{.key = named('a'), .replace = true}).session.fields.size(), 0U);
  EXPECT_TRUE(look_at('a').fields.empty());
}

TEST_P(Session, HoldsSoMuchAndNoMore) {
  session_fields many;
  for (std::size_t i = 0; i < session_fields_max; ++i) many["f" + std::to_string(i)] = "1";
  begin({.key = named('a'), .fields = many});
  EXPECT_EQ(change('a', {{"one more", "1"}}), "too_many_fields");
  EXPECT_EQ(change('a', {{"f0", std::nullopt}, {"one more", "1"}}), "done");
  EXPECT_EQ(look_at('a').fields.size(), session_fields_max);
  const std::string half = "\"" + std::string(session_bytes_max / 2 - 3, 'x') + "\"";
  begin('b');
  EXPECT_EQ(change('b', {{"a", half}, {"b", half}}), "done");
  EXPECT_EQ(change('b', {{"c", "1"}}), "session_too_large");
  EXPECT_EQ(look_at('b').fields.size(), 2U);
  EXPECT_EQ(refusal_of(create_session{.key = named('c'),
                                      .fields = {{"a", half}, {"b", half}, {"c", "1"}}}),
            "session_too_large");
}

TEST_P(Session, RefusesWhatMakesNoSense) {
  const auto why = [this](create_session step) { return refusal_of(std::move(step)); };
  EXPECT_EQ(why({.key = {.hash = "short"}}), "invalid_value");
  EXPECT_EQ(why({.key = {.hash = std::string(session_hash_chars, '+')}}), "invalid_value");
  EXPECT_EQ(why({.key = named('a'), .rules = {.idle = 0s}}), "invalid_value");
  EXPECT_EQ(why({.key = named('a'), .rules = {.idle = 366 * 24h}}), "invalid_value");
  EXPECT_EQ(why({.key = named('a'), .user = "a\nb"}), "invalid_key");
  EXPECT_EQ(why({.key = named('a'), .fields = {{"", "1"}}}), "invalid_key");
  EXPECT_EQ(why({.key = named('a'), .fields = {{"x", "{"}}}), "malformed_json");
  EXPECT_EQ(why({.key = named('a'), .at_most = user_sessions_max + 1}), "invalid_value");
  EXPECT_EQ(refusal_of(rotate_session{.key = named('a'), .to = named('a').hash}), "invalid_value");
  EXPECT_EQ(refusal_of(rotate_session{
                .key = named('a'), .to = named('b').hash, .grace = session_grace_max + 1us}),
            "invalid_value");
  EXPECT_EQ(refusal_of(end_user_sessions{.user = ""}), "invalid_key");
  EXPECT_EQ(refusal_of(end_user_sessions{.user = "a", .only = 1, .except = 2}), "invalid_value");
  EXPECT_EQ(word_of(list_sessions{.cursor = "7"}), "bad_cursor");
  EXPECT_EQ(word_of(list_sessions{.cursor = "@x"}), "bad_cursor");
}

TEST_P(Session, IsChangedTogetherWithOtherThings) {
  begin('a');
  const publish_event said{.stream = {.name = "f"}, .what = {.type = "t"}};
  EXPECT_EQ(word(commit_all(said, end_session{named('b')})), "session_not_found");
  EXPECT_EQ(word(commit_all(said, end_session{named('a')})), "done");
  EXPECT_EQ(ask(read_events{.stream = {.name = "f"}}).events.size(), 1U);
  EXPECT_FALSE(find('a'));
  EXPECT_EQ(word(commit_all(create_session{.key = named('a')}, create_session{.key = named('b')})),
            "duplicate_target");
}

MILLRACE_SESSION_SUITE(SessionEnd);

TEST_P(SessionEnd, CannotBeUndone) {
  begin('a');
  EXPECT_EQ(run(end_session{named('a')}).session.user, "ann");
  EXPECT_FALSE(find('a'));
  EXPECT_EQ(change('a', {{"x", "1"}}), "session_not_found");
  EXPECT_EQ(refusal_of(touch_session{named('a')}), "session_not_found");
  EXPECT_EQ(refusal_of(rotate_session{.key = named('a'), .to = named('b').hash}),
            "session_not_found");
  EXPECT_FALSE(find('a'));
  EXPECT_FALSE(find('b'));
}

TEST_P(SessionEnd, ComesToAllOfAUser) {
  for (const char each : {'a', 'b', 'c'}) begin(each);
  begin('x', "bea");
  EXPECT_EQ(refusal_of(create_session{.key = named('a', "p"), .user = "ann"}), "done");
  EXPECT_EQ(run(end_user_sessions{.user = "ann"}).count, 3U);
  EXPECT_EQ(run(end_user_sessions{.user = "ann"}).count, 0U);
  EXPECT_FALSE(find('a'));
  EXPECT_TRUE(find('x'));
  EXPECT_TRUE(ask(find_session{named('a', "p")}));
  EXPECT_EQ(ask(list_sessions{.user = "ann"}).count, 0U);
}

TEST_P(SessionEnd, ComesToOneByItsRefOrToAllButOne) {
  const auto a = begin('a');
  const auto b = begin('b');
  const auto c = begin('c');
  EXPECT_EQ(run(end_user_sessions{.user = "ann", .only = b.ref}).count, 1U);
  EXPECT_EQ(refs("ann"), (std::vector{a.ref, c.ref}));
  // That of another is not there to be ended.
  EXPECT_EQ(run(end_user_sessions{.user = "bea", .only = a.ref}).count, 0U);
  EXPECT_EQ(run(end_user_sessions{.user = "ann", .except = c.ref}).count, 1U);
  EXPECT_EQ(refs("ann"), std::vector{c.ref});
  EXPECT_EQ(run(end_user_sessions{.user = "ann", .except = a.ref}).count, 1U);
}

MILLRACE_SESSION_SUITE(SessionList);

TEST_P(SessionList, IsByAgeAndTellsNoSecrets) {
  const auto a =
      begin({.key = named('b'), .user = "ann", .label = "tablet", .fields = {{"x", "1"}}});
  const auto b = begin('a', "bea");
  const auto c = begin('c');
  const auto page = ask(list_sessions{.user = "ann"});
  EXPECT_EQ(page.count, 2U);
  EXPECT_TRUE(page.cursor.empty());
  ASSERT_EQ(page.items.size(), 2U);
  EXPECT_EQ(page.items[0].ref, a.ref);
  EXPECT_EQ(page.items[0].label, "tablet");
  EXPECT_EQ(page.items[0].times, a.times);
  EXPECT_TRUE(page.items[0].key.hash.empty());
  EXPECT_TRUE(page.items[0].fields.empty());
  EXPECT_EQ(refs(std::nullopt), (std::vector{a.ref, b.ref, c.ref}));
  EXPECT_EQ(ask(list_sessions{.project = "p"}).count, 0U);
}

TEST_P(SessionList, HasPages) {
  std::vector<std::uint64_t> all;
  for (char each = 'a'; each < 'h'; ++each) all.push_back(begin(each).ref);
  std::vector<std::uint64_t> seen;
  std::string cursor;
  do {
    const auto page = ask(list_sessions{.user = "ann", .limit = 3, .cursor = cursor});
    EXPECT_EQ(page.count, 7U);
    EXPECT_LE(page.items.size(), 3U);
    for (const session_info& each : page.items) seen.push_back(each.ref);
    cursor = page.cursor;
  } while (!cursor.empty());
  EXPECT_EQ(seen, all);
  EXPECT_EQ(ask(list_sessions{.limit = 5}).items.size(), 5U);
}

TEST_P(SessionList, BeginsWithTheNewestWhereAsked) {
  std::vector<std::uint64_t> all;
  for (char each = 'a'; each < 'h'; ++each) all.push_back(begin(each).ref);
  const auto of_another = begin('x', "bea").ref;
  std::ranges::reverse(all);
  std::vector<std::uint64_t> seen;
  std::string cursor;
  do {
    const auto page =
        ask(list_sessions{.user = "ann", .newest_first = true, .limit = 3, .cursor = cursor});
    EXPECT_EQ(page.count, 7U);
    for (const session_info& each : page.items) seen.push_back(each.ref);
    cursor = page.cursor;
  } while (!cursor.empty());
  EXPECT_EQ(seen, all);
  EXPECT_EQ(ask(list_sessions{.newest_first = true, .limit = 1}).items.at(0).ref, of_another);
  // The current one of a user, once the newest has ended.
  run(end_session{named('g')});
  EXPECT_EQ(ask(list_sessions{.user = "ann", .newest_first = true, .limit = 1}).items.at(0).ref,
            all.at(1));
}

MILLRACE_SESSION_SUITE(SessionsOfAUser);

TEST_P(SessionsOfAUser, MakeRoomForTheNewest) {
  std::vector<std::uint64_t> all;
  for (const char each : {'a', 'b', 'c'}) {
    all.push_back(run(create_session{.key = named(each), .user = "ann", .at_most = 3}).session.ref);
  }
  const auto fourth = run(create_session{.key = named('d'), .user = "ann", .at_most = 3});
  EXPECT_EQ(fourth.ended, 1U);
  EXPECT_FALSE(find('a'));
  EXPECT_EQ(refs("ann"), (std::vector{all[1], all[2], fourth.session.ref}));
  EXPECT_EQ(run(create_session{.key = named('e'), .user = "ann", .at_most = 1}).ended, 3U);
  EXPECT_EQ(run(create_session{.key = named('f'), .user = "bea", .at_most = 1}).ended, 0U);
}

TEST_P(SessionsOfAUser, MayBeRefused) {
  const auto another = [this](char of, std::string user) {
    return refusal_of(create_session{.key = named(of),
                                     .user = std::move(user),
                                     .at_most = 2,
                                     .beyond = session_overflow::refuse});
  };
  EXPECT_EQ(another('a', "ann"), "done");
  EXPECT_EQ(another('b', "ann"), "done");
  EXPECT_EQ(another('c', "ann"), "too_many_user_sessions");
  EXPECT_FALSE(find('c'));
  run(end_session{named('a')});
  EXPECT_EQ(another('c', "ann"), "done");
  // What is nobody's is not counted.
  for (const char each : {'x', 'y', 'z'}) EXPECT_EQ(another(each, ""), "done");
  EXPECT_EQ(ask(list_sessions{}).count, 5U);
}

TEST_P(SessionsOfAUser, AreCountedWithoutThoseThatAreOver) {
  begin('a', "ann", {.idle = 1min, .touch_every = 1s});
  advance(1min);
  EXPECT_EQ(
      refusal_of(create_session{
          .key = named('b'), .user = "ann", .at_most = 1, .beyond = session_overflow::refuse}),
      "done");
}

MILLRACE_SESSION_SUITE(SessionId);

TEST_P(SessionId, IsReplacedAtOnce) {
  const auto before = begin({.key = named('a'), .user = "ann", .fields = {{"x", "1"}}});
  const auto after = run(rotate_session{.key = named('a'), .to = named('b').hash}).session;
  EXPECT_EQ(after.ref, before.ref);
  EXPECT_EQ(after.version, 2U);
  EXPECT_EQ(after.fields, before.fields);
  EXPECT_FALSE(find('a'));
  EXPECT_EQ(look_at('b').user, "ann");
  EXPECT_EQ(refs("ann"), std::vector{before.ref});
  EXPECT_EQ(refusal_of(rotate_session{.key = named('a'), .to = named('c').hash}),
            "session_not_found");
}

TEST_P(SessionId, ShowsForAWhileWhatItShowed) {
  begin({.key = named('a'), .user = "", .fields = {{"role", "\"guest\""}}});
  run(rotate_session{.key = named('a'),
                     .to = named('b').hash,
                     .grace = 10s,
                     .user = "ann",
                     .changes = changes{{"role", "\"admin\""}}});
  const auto former = look_at('a');
  EXPECT_TRUE(former.former);
  EXPECT_EQ(former.user, "");
  EXPECT_EQ(former.fields, (session_fields{{"role", "\"guest\""}}));
  EXPECT_EQ(former.times.expires_at, now() + 10s);
  EXPECT_EQ(look_at('b').user, "ann");
  EXPECT_EQ(look_at('b').fields, (session_fields{{"role", "\"admin\""}}));
  EXPECT_EQ(change('a', {{"x", "1"}}), "session_rotated");
  EXPECT_EQ(refusal_of(rotate_session{.key = named('a'), .to = named('c').hash}),
            "session_rotated");
  EXPECT_EQ(run(touch_session{named('a')}).session.times.expires_at, now() + 10s);
  EXPECT_EQ(ask(list_sessions{}).count, 1U);
  advance(10s);
  EXPECT_FALSE(find('a'));
  EXPECT_TRUE(find('b'));
}

TEST_P(SessionId, EndsTheSessionThoughItIsAFormerOne) {
  begin('a');
  run(rotate_session{.key = named('a'), .to = named('b').hash, .grace = 10s});
  run(end_session{named('a')});
  EXPECT_FALSE(find('a'));
  EXPECT_FALSE(find('b'));
  begin('c');
  run(rotate_session{.key = named('c'), .to = named('d').hash, .grace = 10s});
  run(end_session{named('d')});
  EXPECT_FALSE(find('c'));
  begin('e');
  run(rotate_session{.key = named('e'), .to = named('f').hash, .grace = 10s});
  EXPECT_EQ(run(end_user_sessions{.user = "ann"}).count, 1U);
  EXPECT_FALSE(find('e'));
  EXPECT_FALSE(find('f'));
}

TEST_P(SessionId, BeforeTheFormerOneIsGone) {
  begin('a');
  run(rotate_session{.key = named('a'), .to = named('b').hash, .grace = 60s});
  run(rotate_session{.key = named('b'), .to = named('c').hash, .grace = 60s});
  EXPECT_FALSE(find('a'));
  EXPECT_TRUE(look_at('b').former);
  EXPECT_FALSE(look_at('c').former);
  EXPECT_EQ(refusal_of(create_session{.key = named('b')}), "session_exists");
}

TEST_P(SessionId, MovesTheSessionToWhoSignsIn) {
  begin('x', "ann");
  begin('a', "");
  const auto step = [](session_overflow beyond) {
    return rotate_session{
        .key = named('a'), .to = named('b').hash, .user = "ann", .at_most = 1, .beyond = beyond};
  };
  EXPECT_EQ(refusal_of(step(session_overflow::refuse)), "too_many_user_sessions");
  EXPECT_TRUE(find('a'));
  const auto moved = run(step(session_overflow::end_oldest));
  EXPECT_EQ(moved.ended, 1U);
  EXPECT_FALSE(find('x'));
  EXPECT_EQ(refs("ann"), std::vector{moved.session.ref});
  EXPECT_TRUE(refs("").empty());
  // The user stays: nothing ends for it.
  EXPECT_EQ(run(rotate_session{.key = named('b'),
                               .to = named('c').hash,
                               .user = "ann",
                               .at_most = 1,
                               .beyond = session_overflow::refuse})
                .ended,
            0U);
}

TEST_P(SessionId, IsChangedOnlyAtTheVersionThatWasRead) {
  begin('a');
  begin('z');
  EXPECT_EQ(change('a', {{"x", "1"}}), "done");
  EXPECT_EQ(refusal_of(rotate_session{.key = named('a'), .to = named('b').hash, .if_version = 1}),
            "version_changed");
  EXPECT_EQ(refusal_of(rotate_session{.key = named('a'), .to = named('z').hash}), "session_exists");
  EXPECT_EQ(refusal_of(rotate_session{.key = named('a'), .to = named('b').hash, .if_version = 2}),
            "done");
}

class SessionRestart : public session_test {};
INSTANTIATE_TEST_SUITE_P(Engine, SessionRestart, testing::ValuesIn(reopenable_engines_under_test()),
                         case_name);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(SessionRestart);

TEST_P(SessionRestart, LosesNoSession) {
  const auto made =
      begin({.key = named('a'), .user = "ann", .label = "l", .fields = {{"x", "[1]"}}});
  begin('b', "ann", {.idle = 1min, .touch_every = 1s});
  begin('c');
  run(rotate_session{.key = named('c'), .to = named('d').hash, .grace = 60s});
  restart(ending::killed, 30s);
  EXPECT_EQ(look_at('a').fields, made.fields);
  EXPECT_EQ(look_at('a').times, made.times);
  EXPECT_EQ(look_at('a').label, "l");
  EXPECT_TRUE(look_at('c').former);
  EXPECT_EQ(ask(list_sessions{.user = "ann"}).count, 3U);
  restart(ending::closed, 30s);
  // The time away counts.
  EXPECT_FALSE(find('b'));
  EXPECT_FALSE(find('c'));
  EXPECT_EQ(ask(list_sessions{.user = "ann"}).count, 2U);
  run(end_session{named('d')});
  restart(ending::killed);
  EXPECT_FALSE(find('d'));
  EXPECT_GT(begin('e').ref, made.ref);
}

TEST_P(SessionRestart, GivesTheFirstAnswerAgain) {
  const auto request = [](char of) {
    transaction one;
    one.steps.emplace_back(
        create_session{.key = named(of), .user = "ann", .fields = {{"x", "\"é\""}}});
    one.idempotency = {.project = "default", .route = "r", .key = "k", .fingerprint = 1};
    return one;
  };
  const auto first = commit(request('a'));
  ASSERT_TRUE(first);
  restart(ending::killed);
  const auto again = commit(request('b'));
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->replayed);
  const auto& made = std::get<session_changed>(again->outcomes.at(0)).session;
  EXPECT_EQ(made.key, named('a'));
  EXPECT_EQ(made.ref, std::get<session_changed>(first->outcomes.at(0)).session.ref);
  EXPECT_EQ(made.fields, (session_fields{{"x", "\"é\""}}));
  EXPECT_FALSE(find('b'));
}

}  // namespace
}  // namespace millrace::conformance
