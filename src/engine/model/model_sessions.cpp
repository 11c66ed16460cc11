#include "model_sessions.hpp"

#include <millrace/engine/limits.hpp>
#include <millrace/engine/session_rules.hpp>

#include <algorithm>
#include <utility>

namespace millrace::model {

using engine::session_info;
using engine::session_key;

// ---- what is there

void session_model::expire(timestamp now) {
  std::erase_if(records_,
                [now](const auto& each) { return engine::has_ended(each.second.what.times, now); });
}

timestamp session_model::next_end() const {
  timestamp next = timestamp::max();
  for (const auto& [key, kept] : records_) next = std::min(next, kept.what.times.expires_at);
  return next;
}

const session_model::record* session_model::find(const session_key& key) const {
  const auto at = records_.find(key);
  return at == records_.end() ? nullptr : &at->second;
}

std::vector<const session_model::record*> session_model::sessions_of(
    const std::string& project, const std::optional<std::string>& user) const {
  std::vector<const record*> out;
  for (const auto& [key, kept] : records_) {
    const bool wanted =
        key.project == project && !kept.what.former && (!user || kept.what.user == *user);
    if (wanted) out.push_back(&kept);
  }
  std::ranges::sort(out, {}, [](const record* each) { return each->what.ref; });
  return out;
}

session_model::refused session_model::refuse_one_more(const std::string& project,
                                                      const std::string& user,
                                                      std::uint32_t at_most,
                                                      engine::session_overflow beyond) const {
  if (user.empty()) return std::nullopt;
  const auto room = engine::sessions_to_end(sessions_of(project, user).size(), at_most, beyond);
  return room ? refused() : room.error();
}

std::uint32_t session_model::make_room(const std::string& project, const std::string& user,
                                       std::uint32_t at_most, engine::session_overflow beyond) {
  if (user.empty()) return 0;
  const auto present = sessions_of(project, user);
  const std::size_t over = engine::sessions_to_end(present.size(), at_most, beyond).value_or(0);
  std::vector<session_key> ending;
  for (std::size_t i = 0; i < over; ++i) ending.push_back(present[i]->what.key);
  for (const session_key& each : ending) end(each);
  return static_cast<std::uint32_t>(over);
}

void session_model::end(session_key key) {
  const auto at = records_.find(key);
  if (at == records_.end()) return;
  const std::string other = at->second.other;
  records_.erase(at);
  key.hash = other;
  records_.erase(key);
}

// ---- checks

session_model::refused session_model::check(const engine::create_session& step, timestamp) const {
  if (find(step.key) != nullptr) return engine::session_refusal("session_exists");
  if (records_.size() >= engine::sessions_max) return engine::session_refusal("too_many_sessions");
  return refuse_one_more(step.key.project, step.user, step.at_most, step.beyond);
}

session_model::refused session_model::check(const engine::touch_session& step, timestamp) const {
  return find(step.key) != nullptr ? refused() : engine::session_refusal("session_not_found");
}

session_model::refused session_model::check(const engine::change_session& step,
                                            timestamp now) const {
  const record* there = find(step.key);
  if (there == nullptr) return engine::session_refusal("session_not_found");
  const auto next = engine::next_session(there->what, step, now);
  return next ? refused() : next.error();
}

session_model::refused session_model::check(const engine::rotate_session& step,
                                            timestamp now) const {
  const record* there = find(step.key);
  if (there == nullptr) return engine::session_refusal("session_not_found");
  const auto next = engine::next_session(there->what, step, now);
  if (!next) return next.error();
  if (find(next->key) != nullptr) return engine::session_refusal("session_exists");
  if (records_.size() >= engine::sessions_max) return engine::session_refusal("too_many_sessions");
  if (next->user == there->what.user) return std::nullopt;
  return refuse_one_more(step.key.project, next->user, step.at_most, step.beyond);
}

session_model::refused session_model::check(const engine::end_session& step, timestamp) const {
  return find(step.key) != nullptr ? refused() : engine::session_refusal("session_not_found");
}

// ---- applies

engine::outcome session_model::apply(const engine::create_session& step, const moment& at) {
  engine::session_changed out;
  out.ended = make_room(step.key.project, step.user, step.at_most, step.beyond);
  out.session = engine::next_session(step, at.next_stamp(), at.now);
  records_[step.key] = {.what = out.session, .other = {}};
  return out;
}

engine::outcome session_model::apply(const engine::touch_session& step, const moment& at) {
  session_info& session = records_.at(step.key).what;
  const auto moved = engine::touched(session.rules, session.times, at.now);
  if (moved && !session.former) session.times = *moved;
  return engine::session_changed{.session = session};
}

engine::outcome session_model::apply(const engine::change_session& step, const moment& at) {
  session_info& session = records_.at(step.key).what;
  session = *engine::next_session(session, step, at.now);
  return engine::session_changed{.session = session};
}

engine::outcome session_model::apply(const engine::rotate_session& step, const moment& at) {
  const record before = records_.at(step.key);
  engine::session_changed out;
  out.session = *engine::next_session(before.what, step, at.now);
  end(step.key);
  if (out.session.user != before.what.user) {
    out.ended = make_room(step.key.project, out.session.user, step.at_most, step.beyond);
  }
  record& now = records_[out.session.key];
  now.what = out.session;
  if (const auto former = engine::former_session(before.what, step, at.now)) {
    records_[step.key] = {.what = *former, .other = step.to};
    now.other = step.key.hash;
  }
  return out;
}

engine::outcome session_model::apply(const engine::end_session& step, const moment&) {
  engine::session_changed out{.session = records_.at(step.key).what};
  end(step.key);
  return out;
}

engine::outcome session_model::apply(const engine::end_user_sessions& step, const moment&) {
  engine::sessions_ended out;
  std::vector<session_key> ending;
  for (const record* each : sessions_of(step.project, step.user)) {
    const std::uint64_t ref = each->what.ref;
    if (ref != step.except && (step.only == 0 || ref == step.only)) {
      ending.push_back(each->what.key);
    }
  }
  for (const session_key& each : ending) end(each);
  out.count = static_cast<std::uint32_t>(ending.size());
  return out;
}

// ---- queries

result<engine::answer> session_model::read(const engine::find_session& what) const {
  const record* there = find(what.key);
  return there == nullptr ? std::optional<session_info>() : std::optional(there->what);
}

result<engine::answer> session_model::read(const engine::list_sessions& what) const {
  const auto after = engine::parse_session_cursor(what.cursor);
  if (!after) return std::unexpected(after.error());
  const std::size_t most = std::clamp<std::size_t>(what.limit, 1, engine::page_items_max);
  auto all = sessions_of(what.project, what.user);
  if (what.newest_first) std::ranges::reverse(all);
  engine::session_page out{.items = {}, .cursor = {}, .count = all.size()};
  for (const record* each : all) {
    const std::uint64_t ref = each->what.ref;
    if (*after > 0 && (what.newest_first ? ref >= *after : ref <= *after)) continue;
    if (out.items.size() == most) {
      out.cursor = engine::session_cursor(out.items.back().ref);
      break;
    }
    out.items.push_back(each->what);
    out.items.back().key.hash.clear();
    out.items.back().fields.clear();
  }
  return out;
}

}  // namespace millrace::model
