#include "group_writer.hpp"

#include <millrace/engine/limits.hpp>
#include <millrace/engine/session_rules.hpp>

#include <algorithm>
#include <utility>

namespace millrace::embedded {

using engine::session_info;
using engine::session_key;

void group_writer::forget_sessions() {
  // All of them: one that is over must not let anybody in.
  if (sessions_.first_end() > now_) return;
  static_cast<void>(to_write());
  sessions_.forget_ended(now_);
}

group_writer::refused group_writer::refuse_session_of(const std::string& project,
                                                      const std::string& user,
                                                      std::uint32_t at_most,
                                                      engine::session_overflow beyond) {
  if (sessions_.count() >= engine::sessions_max) {
    return engine::session_refusal("too_many_sessions");
  }
  if (user.empty()) return std::nullopt;
  const auto room = engine::sessions_to_end(sessions_.count_of(project, user), at_most, beyond);
  return room ? refused() : room.error();
}

std::uint32_t group_writer::make_room_for_session(const std::string& project,
                                                  const std::string& user, std::uint32_t at_most,
                                                  engine::session_overflow beyond) {
  if (user.empty()) return 0;
  const auto over = engine::sessions_to_end(sessions_.count_of(project, user), at_most, beyond);
  if (!over || *over == 0) return 0;
  const auto ending = sessions_.list({.project = project, .user = user}, 0, *over);
  for (const session_info& each : ending) sessions_.erase(each.key);
  return static_cast<std::uint32_t>(ending.size());
}

// ---- checks

group_writer::refused group_writer::check(const engine::create_session& step, plan&) {
  if (sessions_.find(step.key)) return engine::session_refusal("session_exists");
  return refuse_session_of(step.key.project, step.user, step.at_most, step.beyond);
}

group_writer::refused group_writer::check(const engine::touch_session& step, plan&) {
  return sessions_.find(step.key) ? refused() : engine::session_refusal("session_not_found");
}

group_writer::refused group_writer::check(const engine::change_session& step, plan&) {
  const auto there = sessions_.find(step.key);
  if (!there) return engine::session_refusal("session_not_found");
  const auto next = engine::next_session(there->what, step, now_);
  return next ? refused() : next.error();
}

group_writer::refused group_writer::check(const engine::rotate_session& step, plan&) {
  const auto there = sessions_.find(step.key);
  if (!there) return engine::session_refusal("session_not_found");
  const auto next = engine::next_session(there->what, step, now_);
  if (!next) return next.error();
  if (sessions_.find(next->key)) return engine::session_refusal("session_exists");
  const bool moves = next->user != there->what.user;
  return refuse_session_of(step.key.project, moves ? next->user : std::string(), step.at_most,
                           step.beyond);
}

group_writer::refused group_writer::check(const engine::end_session& step, plan&) {
  return sessions_.find(step.key) ? refused() : engine::session_refusal("session_not_found");
}

group_writer::refused group_writer::check(const engine::end_user_sessions&, plan&) {
  return std::nullopt;
}

// ---- applies. What a check has found may be gone only where the disk cannot be read any more; the
// group is going to fail then.

engine::outcome group_writer::apply(engine::create_session& step, const plan&) {
  static_cast<void>(to_write());
  engine::session_changed out;
  out.ended = make_room_for_session(step.key.project, step.user, step.at_most, step.beyond);
  out.session = engine::next_session(step, stamps_.next(now_), now_);
  sessions_.write({.what = out.session, .other = {}});
  return out;
}

engine::outcome group_writer::apply(engine::touch_session& step, const plan&) {
  auto there = sessions_.find(step.key);
  if (!there) return engine::session_changed{};
  session_info& session = there->what;
  const auto moved = engine::touched(session.rules, session.times, now_);
  if (moved && !session.former) {
    session.times = *moved;
    static_cast<void>(to_write());
    sessions_.touch(session);
  }
  return engine::session_changed{.session = std::move(session)};
}

engine::outcome group_writer::apply(engine::change_session& step, const plan&) {
  auto there = sessions_.find(step.key);
  auto next = there ? engine::next_session(there->what, step, now_) : result<session_info>();
  if (!there || !next) return engine::session_changed{};
  if (next->version != there->what.version || next->times != there->what.times) {
    static_cast<void>(to_write());
    sessions_.write({.what = *next, .other = std::move(there->other)});
  }
  return engine::session_changed{.session = std::move(*next)};
}

engine::outcome group_writer::apply(engine::rotate_session& step, const plan&) {
  auto there = sessions_.find(step.key);
  auto next = there ? engine::next_session(there->what, step, now_) : result<session_info>();
  if (!there || !next) return engine::session_changed{};
  static_cast<void>(to_write());
  engine::session_changed out;
  sessions_.erase(step.key);
  if (next->user != there->what.user) {
    out.ended = make_room_for_session(step.key.project, next->user, step.at_most, step.beyond);
  }
  const auto former = engine::former_session(there->what, step, now_);
  sessions_.write({.what = *next, .other = former ? step.key.hash : std::string()});
  if (former) sessions_.write({.what = *former, .other = step.to});
  out.session = std::move(*next);
  return out;
}

engine::outcome group_writer::apply(engine::end_session& step, const plan&) {
  engine::session_changed out;
  if (auto there = sessions_.find(step.key)) out.session = std::move(there->what);
  static_cast<void>(to_write());
  sessions_.erase(step.key);
  return out;
}

engine::outcome group_writer::apply(engine::end_user_sessions& step, const plan&) {
  engine::sessions_ended out;
  const auto present =
      sessions_.list({.project = step.project, .user = step.user}, 0, engine::user_sessions_max);
  for (const session_info& each : present) {
    if (each.ref == step.except || (step.only != 0 && each.ref != step.only)) continue;
    static_cast<void>(to_write());
    sessions_.erase(each.key);
    ++out.count;
  }
  return out;
}

// ---- queries

result<engine::answer> group_writer::answer(const engine::find_session& what) {
  auto there = sessions_.find(what.key);
  // While nothing can be written, what is over has not been forgotten yet.
  if (!there || engine::has_ended(there->what.times, now_)) return std::optional<session_info>();
  return std::optional(std::move(there->what));
}

result<engine::answer> group_writer::answer(const engine::list_sessions& what) {
  const auto after = engine::parse_session_cursor(what.cursor);
  if (!after) return std::unexpected(after.error());
  const std::size_t most = std::clamp<std::size_t>(what.limit, 1, engine::page_items_max);
  engine::session_page out;
  out.items = sessions_.list(what, *after, most + 1);
  if (out.items.size() > most) {
    out.items.pop_back();
    out.cursor = engine::session_cursor(out.items.back().ref);
  }
  for (session_info& each : out.items) each.key.hash.clear();
  out.count =
      what.user ? sessions_.count_of(what.project, *what.user) : sessions_.count_of(what.project);
  return out;
}

}  // namespace millrace::embedded
