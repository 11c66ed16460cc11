#include <millrace/sessions/sessions.hpp>

#include <millrace/base/testing.hpp>
#include <millrace/conformance/faulty_store.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/engine_model/model_store.hpp>
#include <millrace/sessions/session_id.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <utility>

namespace millrace::sessions {
namespace {

using namespace std::chrono_literals;
using conformance::fault;
using conformance::faulty_store;

class Sessions : public testing::Test {
protected:
  named_session begin(engine::create_session step = {.user = "ann"}) {
    return run_coro(sessions_.begin(std::move(step), std::nullopt)).value();
  }
  std::string word_of(const std::string& id, const std::string& project = "default") {
    const auto found = run_coro(sessions_.look(project, id));
    return found ? "found" : std::string(found.error().code);
  }
  static engine::idempotency_key key(std::string of) {
    return {.project = "default", .route = "r", .key = std::move(of), .fingerprint = 1};
  }

  manual_clock clock_;
  model::model_store store_{{.clock = &clock_}};
  session_store sessions_{store_};
};

TEST_F(Sessions, AreKnownToTheStoreByAHash) {
  const named_session made = begin();
  EXPECT_TRUE(is_session_id(made.id));
  EXPECT_EQ(made.session.key.hash, hash_of_session_id(made.id));
  EXPECT_EQ(run_coro(sessions_.look("default", made.id)).value().user, "ann");
  // Whoever has read the store has not the ids.
  EXPECT_EQ(word_of(made.session.key.hash), "session_not_found");
}

TEST_F(Sessions, ThatAreNotThereAreAllTheSame) {
  const named_session made = begin();
  EXPECT_EQ(word_of("no id"), "session_not_found");
  EXPECT_EQ(word_of(""), "session_not_found");
  EXPECT_EQ(word_of(new_session_id()), "session_not_found");
  EXPECT_EQ(word_of(made.id, "another"), "session_not_found");
  EXPECT_TRUE(run_coro(sessions_.end("default", made.id)));
  EXPECT_EQ(word_of(made.id), "session_not_found");
  EXPECT_FALSE(run_coro(sessions_.change(made.id, {.changes = {{"x", "1"}}})));
}

TEST_F(Sessions, LiveOnWhenTheyAreLookedAt) {
  const named_session made = begin();
  clock_.advance(23h);
  EXPECT_TRUE(run_coro(sessions_.peek("default", made.id)));
  const auto looked = run_coro(sessions_.look("default", made.id)).value();
  EXPECT_EQ(looked.times.expires_at, clock_.now() + 24h);
  clock_.advance(24h);
  EXPECT_EQ(word_of(made.id), "session_not_found");
  EXPECT_FALSE(run_coro(sessions_.peek("default", made.id)));
}

TEST_F(Sessions, GetAnotherId) {
  const named_session made = begin();
  const auto after =
      run_coro(sessions_.rotate(made.id, {.grace = 5s, .user = "bea"}, std::nullopt)).value();
  EXPECT_NE(after.id, made.id);
  EXPECT_EQ(after.session.ref, made.session.ref);
  EXPECT_EQ(run_coro(sessions_.look("default", after.id)).value().user, "bea");
  EXPECT_TRUE(run_coro(sessions_.look("default", made.id)).value().former);
  EXPECT_EQ(run_coro(sessions_.rotate(made.id, {}, std::nullopt)).error().code, "session_rotated");
  EXPECT_EQ(run_coro(sessions_.end_of_user({.user = "bea"})).value(), 1U);
  EXPECT_EQ(word_of(made.id), "session_not_found");
}

TEST_F(Sessions, AreReadThoughNothingCanBeWritten) {
  const named_session made = begin();
  faulty_store full{store_};
  session_store on_full{full};
  full.on_submit(1, fault::full(), faulty_store::always);
  EXPECT_EQ(run_coro(on_full.look("default", made.id)).value().user, "ann");
  EXPECT_EQ(run_coro(on_full.end("default", made.id)).error().code, "storage_full");
}

// The first answer may never have come.
TEST_F(Sessions, OfARepeatedRequestAreOneWithAnotherId) {
  const auto first = run_coro(sessions_.begin({.user = "ann"}, key("k"))).value();
  const auto again = run_coro(sessions_.begin({.user = "ann"}, key("k"))).value();
  EXPECT_NE(again.id, first.id);
  EXPECT_EQ(again.session.ref, first.session.ref);
  EXPECT_EQ(word_of(again.id), "found");
  EXPECT_TRUE(run_coro(sessions_.look("default", first.id)).value().former);
  clock_.advance(repeated_grace);
  EXPECT_EQ(word_of(first.id), "session_not_found");
  EXPECT_EQ(engine::blocking::ask(store_, engine::list_sessions{}).value().count, 1U);
}

class SecretSessions : public Sessions {
protected:
  static secrets::key_ring ring(const std::string& text) {
    return std::move(*secrets::key_ring::parse(text, "keys"));
  }
  engine::session_fields in_store(const std::string& id) {
    const auto found =
        engine::blocking::ask(store_, engine::find_session{{.hash = hash_of_session_id(id)}});
    return found && *found ? (*found)->fields : engine::session_fields{};
  }

  std::string key_{secrets::key_ring::generate()};
  secrets::key_ring keys_{ring(key_)};
  session_store secret_{store_, {.keys = &keys_, .encrypt = true}};
};

TEST_F(SecretSessions, HoldNothingInTheClearInTheStore) {
  const auto made = run_coro(secret_.begin(
      {.user = "ann", .fields = {{"cart", "[7]"}, {"language", R"("de")"}}}, std::nullopt));
  ASSERT_TRUE(made);
  EXPECT_EQ(made->session.fields.at("cart"), "[7]");
  const auto changed = run_coro(
      secret_.change(made->id, {.changes = {{"cart", "[7,8]"}, {"language", std::nullopt}}}));
  ASSERT_TRUE(changed);
  EXPECT_EQ(changed->fields, (engine::session_fields{{"cart", "[7,8]"}}));
  const auto another =
      run_coro(secret_.rotate(made->id, {.changes = {{"role", R"("admin")"}}}, std::nullopt));
  ASSERT_TRUE(another);
  EXPECT_EQ(another->session.fields.at("role"), R"("admin")");
  EXPECT_EQ(run_coro(secret_.look("default", another->id))->fields.at("cart"), "[7,8]");
  EXPECT_EQ(run_coro(secret_.peek("default", another->id))->fields.at("cart"), "[7,8]");
  const auto stored = in_store(another->id);
  ASSERT_EQ(stored.size(), 2U);
  for (const auto& [name, json] : stored) {
    EXPECT_TRUE(json.starts_with("\"sealed:1:")) << name;
    EXPECT_EQ(json.find("admin"), std::string::npos);
  }
  EXPECT_EQ(run_coro(secret_.end("default", another->id))->fields.at("role"), R"("admin")");
}

TEST_F(SecretSessions, AreReadWithAnOldKeyAndRefusedWithout) {
  const auto made = run_coro(secret_.begin({.fields = {{"x", "1"}}}, std::nullopt));
  ASSERT_TRUE(made);
  const auto both = ring(secrets::key_ring::generate() + "," + key_);
  session_store later(store_, {.keys = &both, .encrypt = true});
  EXPECT_EQ(run_coro(later.look("default", made->id))->fields.at("x"), "1");
  // Encryption was turned off: what there is can still be read.
  session_store off(store_, {.keys = &keys_});
  EXPECT_EQ(run_coro(off.look("default", made->id))->fields.at("x"), "1");
  EXPECT_EQ(run_coro(sessions_.look("default", made->id)).error().code, "session_unreadable");
  EXPECT_TRUE(run_coro(sessions_.end("default", made->id))) << "it can be ended";
}

TEST_F(SecretSessions, TakeNoValueThatLooksEncrypted) {
  const auto refused =
      run_coro(sessions_.begin({.fields = {{"x", R"("sealed:1:AAAA")"}}}, std::nullopt));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().field, "data.x");
  const auto made = begin();
  EXPECT_EQ(
      run_coro(sessions_.change(made.id, {.changes = {{"x", R"("sealed:1:AAAA")"}}})).error().code,
      "reserved_value");
}

TEST_F(SecretSessions, GetAnotherIdWhenTheirBeginningIsRepeated) {
  const auto first = run_coro(secret_.begin({.fields = {{"x", "1"}}}, key("a")));
  const auto again = run_coro(secret_.begin({.fields = {{"x", "1"}}}, key("a")));
  ASSERT_TRUE(first && again);
  EXPECT_NE(first->id, again->id);
  EXPECT_EQ(again->session.ref, first->session.ref);
  EXPECT_EQ(again->session.fields.at("x"), "1");
}

}  // namespace
}  // namespace millrace::sessions
