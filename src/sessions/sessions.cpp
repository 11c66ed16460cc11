#include <millrace/sessions/sessions.hpp>

#include <millrace/engine/async.hpp>
#include <millrace/engine/session_rules.hpp>
#include <millrace/sessions/session_id.hpp>

#include <utility>
#include <variant>

namespace millrace::sessions {
namespace {

using engine::session_changed;
using engine::session_info;
using engine::session_key;

// One that has not the form of an id is as unknown as any other.
result<session_key> key_of(std::string project, const std::string& id) {
  if (!is_session_id(id)) {
    return std::unexpected(engine::session_refusal("session_not_found").value_or(error{}));
  }
  return session_key{.project = std::move(project), .hash = hash_of_session_id(id)};
}

result<session_info> session_of(result<session_changed> done) {
  if (!done) return std::unexpected(std::move(done.error()));
  return std::move(done->session);
}

}  // namespace

result<std::string> session_store::prepare(engine::create_session& step) const {
  if (auto sealed = seal(step.key.project, step.fields); !sealed) {
    return std::unexpected(std::move(sealed.error()));
  }
  std::string id = new_session_id();
  step.key.hash = hash_of_session_id(id);
  return id;
}

result<void> session_store::prepare(const std::string& id, engine::change_session& step) const {
  auto key = key_of(std::move(step.key.project), id);
  if (!key) return std::unexpected(std::move(key.error()));
  step.key = std::move(*key);
  return seal(step.key.project, step.changes);
}

result<void> session_store::prepare(const std::string& id, engine::end_session& step) {
  auto key = key_of(std::move(step.key.project), id);
  if (!key) return std::unexpected(std::move(key.error()));
  step.key = std::move(*key);
  return {};
}

awaitable<result<named_session>> session_store::give_id(
    engine::step step, std::string id, std::optional<engine::idempotency_key> repeated) {
  engine::transaction one{.steps = {}, .idempotency = std::move(repeated)};
  one.steps.push_back(std::move(step));
  engine::commit_result done = co_await engine::commit(store_, std::move(one));
  if (!done) co_return std::unexpected(std::move(done.error().why));
  auto made = std::get<session_changed>(std::move(done->outcomes.front()));
  if (done->replayed) {
    // The id of then went with the first answer, which perhaps nobody got.
    auto again = co_await name_again(made.session.key);
    if (again) again->ended = made.ended;
    co_return again;
  }
  auto shown = opened(std::move(made.session));
  if (!shown) co_return std::unexpected(std::move(shown.error()));
  co_return named_session{.id = std::move(id), .session = std::move(*shown), .ended = made.ended};
}

awaitable<result<named_session>> session_store::name_again(session_key key) {
  std::string id = new_session_id();
  auto again = co_await engine::commit_step<session_changed>(
      store_, engine::rotate_session{
                  .key = std::move(key), .to = hash_of_session_id(id), .grace = repeated_grace});
  if (!again) co_return std::unexpected(std::move(again.error()));
  auto shown = opened(std::move(again->session));
  if (!shown) co_return std::unexpected(std::move(shown.error()));
  co_return named_session{.id = std::move(id), .session = std::move(*shown), .ended = 0};
}

awaitable<result<named_session>> session_store::begin(
    engine::create_session step, std::optional<engine::idempotency_key> repeated) {
  auto id = prepare(step);
  if (!id) co_return std::unexpected(std::move(id.error()));
  co_return co_await give_id(std::move(step), std::move(*id), std::move(repeated));
}

awaitable<result<session_info>> session_store::look(std::string project, std::string id) {
  const auto key = key_of(std::move(project), id);
  if (!key) co_return std::unexpected(key.error());
  // Nobody waits for the disk: should it be lost, the session ends a little earlier.
  auto used = co_await engine::commit_step<session_changed>(store_, engine::touch_session{*key},
                                                            engine::durability::async);
  // What cannot be written may still be read.
  const bool no_writing = !used && used.error().kind == errc::storage_full;
  if (no_writing) co_return co_await peek(key->project, std::move(id));
  auto session = session_of(std::move(used));
  if (!session) co_return session;
  co_return opened(std::move(*session));
}

awaitable<result<session_info>> session_store::peek(std::string project, std::string id) {
  const auto key = key_of(std::move(project), id);
  if (!key) co_return std::unexpected(key.error());
  auto found = co_await engine::ask(store_, engine::find_session{*key});
  if (!found) co_return std::unexpected(std::move(found.error()));
  if (*found) co_return opened(std::move(**found));
  co_return std::unexpected(engine::session_refusal("session_not_found").value_or(error{}));
}

awaitable<result<session_info>> session_store::change(std::string id, engine::change_session step) {
  if (auto ready = prepare(id, step); !ready) co_return std::unexpected(std::move(ready.error()));
  auto done = session_of(co_await engine::commit_step<session_changed>(store_, std::move(step)));
  if (!done) co_return done;
  co_return opened(std::move(*done));
}

awaitable<result<named_session>> session_store::rotate(
    std::string id, engine::rotate_session step, std::optional<engine::idempotency_key> repeated) {
  auto key = key_of(std::move(step.key.project), id);
  if (!key) co_return std::unexpected(std::move(key.error()));
  step.key = std::move(*key);
  if (auto sealed = seal(step.key.project, step.changes); !sealed) {
    co_return std::unexpected(std::move(sealed.error()));
  }
  std::string another = new_session_id();
  step.to = hash_of_session_id(another);
  co_return co_await give_id(std::move(step), std::move(another), std::move(repeated));
}

awaitable<result<session_info>> session_store::end(std::string project, std::string id) {
  const auto key = key_of(std::move(project), id);
  if (!key) co_return std::unexpected(key.error());
  auto done =
      session_of(co_await engine::commit_step<session_changed>(store_, engine::end_session{*key}));
  if (!done) co_return done;
  auto shown = opened(*done);
  if (shown) co_return shown;
  // It has ended all the same.
  done->fields.clear();
  co_return done;
}

awaitable<result<std::uint32_t>> session_store::end_of_user(engine::end_user_sessions step) {
  const auto done = co_await engine::commit_step<engine::sessions_ended>(store_, std::move(step));
  if (!done) co_return std::unexpected(done.error());
  co_return done->count;
}

}  // namespace millrace::sessions
