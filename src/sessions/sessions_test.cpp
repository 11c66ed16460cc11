#include <millrace/sessions/sessions.hpp>

#include <millrace/base/testing.hpp>
#include <millrace/conformance/faulty_store.hpp>
#include <millrace/engine/async.hpp>
#include <millrace/engine_model/model_store.hpp>
#include <millrace/sessions/session_id.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <string>

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

}  // namespace
}  // namespace millrace::sessions
