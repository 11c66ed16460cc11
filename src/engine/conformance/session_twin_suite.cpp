#include "describe.hpp"
#include "fixture.hpp"

#include <millrace/engine_model/model_store.hpp>

#include <algorithm>
#include <array>
#include <random>

/// Random steps on few sessions of few users, on the engine and on the model side by side.
namespace millrace::conformance {
namespace {

class SessionTwins : public engine_test {
protected:
  SessionTwins()
      : model_({.clock = &clock()}), start_(now()), of_model_(start_), under_test_(start_) {}

  std::size_t die(std::size_t among) {
    return std::uniform_int_distribution<std::size_t>(0, among - 1)(random_);
  }
  std::string name(std::size_t among) {
    return std::string(1, static_cast<char>('a' + die(among)));
  }
  session_key key() {
    return {.hash = std::string(session_hash_chars, static_cast<char>('a' + die(8)))};
  }
  std::string user() { return die(4) == 0 ? "" : name(2); }
  duration span() {
    const std::array<duration, 6> spans{1us, 1s, 10s, 60s, 10min, 1h};
    return spans.at(die(spans.size()));
  }
  std::vector<session_change> some_changes() {
    std::vector<session_change> out;
    for (std::size_t left = die(4); left > 0; --left) {
      out.push_back({.name = name(3), .json = std::nullopt});
      if (die(3) > 0) out.back().json = std::to_string(die(3));
    }
    return out;
  }

  // For the two sides: refs are their own.
  using both = std::pair<step, step>;
  both any_step() {
    switch (die(10)) {
      case 0:
      case 1:
      case 2: {
        create_session one{.key = key(),
                           .user = user(),
                           .label = name(2),
                           .rules = {.idle = die(2) == 0 ? duration(60s) : 1h,
                                     .absolute = die(3) == 0 ? duration(90min) : 0s,
                                     .touch_every = die(2) == 0 ? duration(0s) : 5s}};
        if (die(2) == 0) one.fields[name(3)] = std::to_string(die(3));
        one.at_most = static_cast<std::uint32_t>(die(4));
        one.beyond = static_cast<session_overflow>(die(2));
        return {one, one};
      }
      case 3: return same(touch_session{key()});
      case 4:
      case 5:
        return same(change_session{
            .key = key(), .changes = some_changes(), .replace = die(4) == 0, .if_version = die(3)});
      case 6:
      case 7: {
        rotate_session one{
            .key = key(), .to = key().hash, .grace = die(2) == 0 ? duration(0s) : 10s};
        if (die(2) == 0) one.user = user();
        one.changes = some_changes();
        one.at_most = static_cast<std::uint32_t>(die(3));
        one.beyond = static_cast<session_overflow>(die(2));
        return {one, one};
      }
      case 8: return same(end_session{key()});
      default: return end_some();
    }
  }
  template <class Step>
  static both same(Step one) {
    return {one, one};
  }
  both end_some() {
    end_user_sessions one{.user = name(2)};
    end_user_sessions other_one = one;
    if (!refs_.empty()) {
      const auto& [of_model, under_test] = refs_.at(die(refs_.size()));
      const std::size_t which = die(3);
      if (which == 0) one.only = of_model, other_one.only = under_test;
      if (which == 1) one.except = of_model, other_one.except = under_test;
    }
    return {one, other_one};
  }

  void commit_both() {
    transaction one;
    transaction same_one;
    auto [of_model, under_test] = any_step();
    one.steps.push_back(std::move(of_model));
    same_one.steps.push_back(std::move(under_test));
    const auto expected = engine::blocking::commit(model_, one);
    const auto got = commit(same_one);
    ASSERT_EQ(of_model_.text(expected), under_test_.text(got));
    if (!got) return;
    const auto* const there = std::get_if<session_changed>(&got->outcomes.at(0));
    if (there == nullptr) return;
    refs_.emplace_back(std::get<session_changed>(expected->outcomes.at(0)).session.ref,
                       there->session.ref);
    if (refs_.size() > 20) refs_.erase(refs_.begin());
  }

  void ask_both(const query& what) {
    const auto expected = engine::blocking::ask_any(model_, what);
    const auto got = engine::blocking::ask_any(store(), what);
    ASSERT_EQ(of_model_.text(expected), under_test_.text(got));
  }

  void compare_all() {
    for (char each = 'a'; each < 'i'; ++each) {
      ask_both(find_session{{.hash = std::string(session_hash_chars, each)}});
    }
    for (const bool newest : {false, true}) {
      for (const char* each : {"", "a", "b"}) {
        ask_both(list_sessions{.user = each, .newest_first = newest});
      }
      ask_both(list_sessions{.newest_first = newest});
      ask_both(list_sessions{.newest_first = newest, .limit = 2});
    }
  }

  model::model_store model_;
  timestamp start_;
  describer of_model_;
  describer under_test_;
  std::mt19937_64 random_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> refs_;
};
INSTANTIATE_TEST_SUITE_P(Engine, SessionTwins, testing::ValuesIn(engines_under_test()), case_name);

TEST_P(SessionTwins, BehaveAsOnTheModel) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    random_.seed(seed);
    for (int i = 0; i < 200 && !HasFatalFailure(); ++i) {
      SCOPED_TRACE("operation " + std::to_string(i));
      const std::size_t what = die(10);
      if (what < 8) {
        commit_both();
      } else if (what < 9) {
        compare_all();
      } else {
        advance(span());
        ASSERT_TRUE(engine::blocking::ask(model_, read_clock{}));
      }
    }
    if (HasFatalFailure()) return;
    compare_all();
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace millrace::conformance
