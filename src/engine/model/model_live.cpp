#include "model_state.hpp"

#include <algorithm>
#include <utility>

namespace millrace::model {

// ---- progress

model_state::refused model_state::check(const engine::put_progress& step, plan& with) const {
  const auto at = progress_.find({step.project, step.correlation_id});
  const bool there = at != progress_.end();
  const auto next = engine::next_progress(there ? &at->second : nullptr, step, now_);
  if (!next) return next.error();
  if (there || progress_.size() + with.progress_added++ < engine::live_records_max) {
    return std::nullopt;
  }
  return engine::too_many_records();
}

engine::outcome model_state::apply(const engine::put_progress& step, const plan&) {
  engine::progress_entry& kept = progress_[{step.project, step.correlation_id}];
  kept = *engine::next_progress(&kept, step, now_);
  kept.version = next_stamp();
  kept.expires_at = now_ + step.ttl;
  happens_at(kept.expires_at);
  changed_topics_.push_back(engine::progress_topic(step.project, step.correlation_id));
  return engine::progress_changed{.entry = kept};
}

model_state::refused model_state::check(const engine::delete_progress& step, plan&) const {
  if (progress_.contains({step.project, step.correlation_id})) return std::nullopt;
  return engine::progress_not_found();
}

engine::outcome model_state::apply(const engine::delete_progress& step, const plan&) {
  const auto at = progress_.find({step.project, step.correlation_id});
  engine::progress_changed out{.entry = at->second};
  progress_.erase(at);
  changed_topics_.push_back(engine::progress_topic(step.project, step.correlation_id));
  return out;
}

result<engine::answer> model_state::read(const engine::find_progress& what) const {
  const auto at = progress_.find({what.project, what.correlation_id});
  return at == progress_.end() ? std::optional<engine::progress_entry>()
                               : std::optional(at->second);
}

// ---- agents

model_state::refused model_state::check(const engine::put_agent& step, plan& with) const {
  if (agents_.contains({step.project, step.flow_id, step.what.agent})) return std::nullopt;
  const auto of_flow = std::ranges::count_if(agents_, [&](const auto& each) {
    return each.first[0] == step.project && each.first[1] == step.flow_id;
  });
  const std::size_t added = with.agents_added_to[{step.project, step.flow_id}]++;
  if (static_cast<std::size_t>(of_flow) + added >= engine::agents_max) {
    return engine::too_many_agents();
  }
  if (agents_.size() + with.agents_added++ < engine::live_records_max) return std::nullopt;
  return engine::too_many_records();
}

engine::outcome model_state::apply(const engine::put_agent& step, const plan&) {
  agent_record& kept = agents_[{step.project, step.flow_id, step.what.agent}];
  kept = {.what = step.what, .expires_at = now_ + step.ttl};
  kept.what.updated_at = now_;
  kept.what.version = next_stamp();
  happens_at(kept.expires_at);
  changed_topics_.push_back(engine::flow_topic(step.project, step.flow_id));
  return engine::agent_changed{.what = kept.what};
}

result<engine::answer> model_state::read(const engine::list_agents& what) const {
  std::vector<engine::agent_progress> out;
  for (const auto& [key, kept] : agents_) {
    if (key[0] == what.project && key[1] == what.flow_id) out.push_back(kept.what);
  }
  return out;
}

// ---- connections

model_state::refused model_state::check(const engine::put_connection& step, plan& with) const {
  if (connections_.contains({step.project, step.what.id})) return std::nullopt;
  if (connections_.size() + with.connections_added++ < engine::live_records_max) {
    return std::nullopt;
  }
  return engine::too_many_records();
}

engine::outcome model_state::apply(const engine::put_connection& step, const plan&) {
  const auto [at, fresh] = connections_.try_emplace({step.project, step.what.id});
  const timestamp connected_at = fresh ? now_ : at->second.what.connected_at;
  at->second = {.what = step.what, .expires_at = now_ + step.ttl};
  at->second.what.connected_at = connected_at;
  at->second.what.seen_at = now_;
  happens_at(at->second.expires_at);
  return engine::connection_changed{.what = at->second.what};
}

model_state::refused model_state::check(const engine::drop_connection& step, plan&) const {
  if (connections_.contains({step.project, step.connection})) return std::nullopt;
  return engine::connection_not_found();
}

engine::outcome model_state::apply(const engine::drop_connection& step, const plan&) {
  const auto at = connections_.find({step.project, step.connection});
  const engine::connection_changed out{.what = at->second.what};
  connections_.erase(at);
  return out;
}

result<engine::answer> model_state::read(const engine::list_connections& what) const {
  if (!what.cursor.empty() && what.cursor.front() != '@') {
    return fail(errc::malformed, "bad_cursor", "The cursor is not one of this listing.", "cursor");
  }
  const std::size_t most = std::clamp<std::size_t>(what.limit, 1, engine::page_items_max);
  engine::connection_page out;
  for (const auto& [key, kept] : connections_) {
    if (key.first != what.project) continue;
    if (!what.cursor.empty() && key.second <= std::string_view(what.cursor).substr(1)) continue;
    if (what.flow_id && kept.what.flow_id != *what.flow_id) continue;
    if (what.user && kept.what.user != *what.user) continue;
    if (out.items.size() == most) {
      out.cursor = "@" + out.items.back().id;
      break;
    }
    out.items.push_back(kept.what);
  }
  return out;
}

// ---- all of them

void model_state::forget_old_records() {
  end_old_locks();
  const auto is_over = [this](const auto& kept) { return kept.second.expires_at <= now_; };
  for (const auto& [key, kept] : progress_) {
    if (kept.expires_at > now_) continue;
    changed_topics_.push_back(engine::progress_topic(key.first, key.second));
  }
  std::erase_if(progress_, is_over);
  for (const auto& [key, kept] : agents_) {
    if (kept.expires_at > now_) continue;
    changed_topics_.push_back(engine::flow_topic(key[0], key[1]));
  }
  std::erase_if(agents_, is_over);
  std::erase_if(connections_, is_over);
  std::erase_if(fences_, is_over);
}

timestamp model_state::next_event_of_records() const {
  timestamp next = timestamp::max();
  for (const auto& [key, kept] : locks_) next = std::min(next, kept.next_end());
  for (const auto& [key, kept] : fences_) next = std::min(next, kept.expires_at);
  for (const auto& [key, kept] : progress_) next = std::min(next, kept.expires_at);
  for (const auto& [key, kept] : agents_) next = std::min(next, kept.expires_at);
  for (const auto& [key, kept] : connections_) next = std::min(next, kept.expires_at);
  return next;
}

}  // namespace millrace::model
