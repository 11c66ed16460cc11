#include "model_state.hpp"

#include <millrace/engine/limits.hpp>

#include <algorithm>
#include <utility>

namespace millrace::model {

const stream_record* model_state::find_stream_of(const engine::group_key& key) const {
  const auto at = streams_.find(key.stream);
  return at == streams_.end() ? nullptr : &at->second;
}

engine::group_info model_state::info(const engine::group_key& key,
                                     const engine::group_state& group) const {
  const stream_record* stream = find_stream_of(key);
  return engine::describe(key, group, stream == nullptr ? nullptr : &stream->info);
}

engine::group_state model_state::new_group(const engine::group_key& key,
                                           const engine::group_start& start) const {
  const stream_record* stream = find_stream_of(key);
  const bool there = stream != nullptr;
  return {
      .created_at = now_,
      .place = engine::place_of(start, there ? &stream->info : nullptr, there ? stream->before : 0),
      .pending = {}};
}

model_state::refused model_state::refuse_new_group(const engine::group_key& key, plan& with) const {
  if (groups_.contains(key)) return std::nullopt;
  const auto of_stream = std::ranges::count_if(
      groups_, [&](const auto& each) { return each.first.stream == key.stream; });
  const std::size_t added = with.groups_added_to[key.stream]++;
  if (static_cast<std::size_t>(of_stream) + added >= engine::stream_groups_max) {
    return engine::too_many_groups();
  }
  if (groups_.size() + with.groups_added++ < engine::groups_max) return std::nullopt;
  return engine::too_many_groups();
}

model_state::refused model_state::check(const engine::put_group& step, plan& with) const {
  return refuse_new_group(step.group, with);
}

engine::outcome model_state::apply(const engine::put_group& step, const plan&) {
  const auto [at, made] = groups_.try_emplace(step.group);
  if (made) at->second = new_group(step.group, step.start);
  if (!made && step.move) {
    const timestamp created_at = at->second.created_at;
    at->second = new_group(step.group, step.start);
    at->second.created_at = created_at;
    changed_topics_.push_back(
        engine::stream_topic(step.group.stream.project, step.group.stream.name));
  }
  return engine::group_changed{.group = info(step.group, at->second), .made = made};
}

model_state::refused model_state::check(const engine::delete_group& step, plan&) const {
  return groups_.contains(step.group) ? refused() : engine::group_not_found();
}

engine::outcome model_state::apply(const engine::delete_group& step, const plan&) {
  const auto at = groups_.find(step.group);
  const engine::group_changed out{.group = info(step.group, at->second), .made = false};
  groups_.erase(at);
  return out;
}

model_state::refused model_state::check(const engine::read_group& step, plan& with) const {
  return refuse_new_group(step.group, with);
}

void model_state::deliver_again(const engine::read_group& step, engine::group_state& group,
                                engine::group_read& into) const {
  const stream_record* stream = find_stream_of(step.group);
  std::uint64_t bytes = 0;
  for (const std::uint64_t offset : engine::lapsed(group, now_, engine::group_pending_max)) {
    if (into.events.size() == step.max || bytes >= engine::event_page_bytes_max) return;
    engine::group_state::delivery& one = group.pending[offset];
    const bool kept = stream != nullptr && offset >= stream->info.first &&
                      offset <= stream->info.last &&
                      stream->events[offset - stream->info.first].stamp == one.stamp;
    if (!kept) {
      const bool trimmed = stream != nullptr && offset < stream->info.first;
      into.gap = trimmed ? engine::gap_reason::trimmed : engine::gap_reason::lost;
      ++into.missed;
      group.pending.erase(offset);
      continue;
    }
    const engine::event& what = stream->events[offset - stream->info.first];
    bytes += bytes_of(what);
    one = {.stamp = one.stamp,
           .consumer = step.consumer,
           .deliveries = one.deliveries + 1,
           .delivered_at = now_,
           .lease_ends_at = now_ + step.lease};
    into.events.push_back({.what = what, .deliveries = one.deliveries});
  }
  into.full = bytes >= engine::event_page_bytes_max;
}

void model_state::deliver_new(const engine::read_group& step, engine::group_state& group,
                              engine::group_read& into) const {
  const stream_record* stream = find_stream_of(step.group);
  const std::size_t room = std::min<std::size_t>(step.max - into.events.size(),
                                                 engine::group_pending_max - group.pending.size());
  // While a stream is forgotten there is nothing to be told of it.
  if (stream == nullptr || room == 0) return;
  const auto answered = read(engine::read_events{
      .stream = step.group.stream, .from = group.place, .limit = static_cast<std::uint32_t>(room)});
  const auto& page = std::get<engine::read_events::page>(*answered);
  if (page.gap != engine::gap_reason::none) into.gap = page.gap;
  if (page.gap == engine::gap_reason::trimmed) {
    into.missed += stream->info.first - 1 - group.place.offset;
  }
  group.place = page.end;
  for (const engine::event& each : page.events) {
    group.pending[each.offset] = {.stamp = each.stamp,
                                  .consumer = step.consumer,
                                  .deliveries = 1,
                                  .delivered_at = now_,
                                  .lease_ends_at = now_ + step.lease};
    into.events.push_back({.what = each, .deliveries = 1});
  }
}

engine::outcome model_state::apply(const engine::read_group& step, const plan&) {
  const auto [at, made] = groups_.try_emplace(step.group);
  engine::group_state& group = at->second;
  if (made) group = new_group(step.group, step.start);
  engine::group_read out{.now = now_};
  deliver_again(step, group, out);
  if (!out.full) deliver_new(step, group, out);
  out.full = group.pending.size() >= engine::group_pending_max;
  out.group = info(step.group, group);
  out.next_end = group.next_end();
  return out;
}

model_state::refused model_state::check(const engine::settle_deliveries& step, plan&) const {
  const auto at = groups_.find(step.group);
  if (at == groups_.end()) return engine::group_not_found();
  return engine::refuses(at->second, step) ? engine::delivery_lost() : refused();
}

engine::outcome model_state::apply(const engine::settle_deliveries& step, const plan&) {
  std::vector<std::uint64_t> changed;
  engine::group_state& group = groups_.at(step.group);
  const bool others_may_read = engine::settling_wakes(group, step);
  engine::deliveries_settled out = engine::settle(group, step, now_, changed);
  if (others_may_read && !changed.empty()) {
    changed_topics_.push_back(
        engine::stream_topic(step.group.stream.project, step.group.stream.name));
  }
  return out;
}

result<engine::answer> model_state::read(const engine::list_groups& what) const {
  std::vector<engine::group_info> out;
  for (const auto& [key, group] : groups_) {
    if (key.stream == what.stream) out.push_back(info(key, group));
  }
  return out;
}

result<engine::answer> model_state::read(const engine::list_pending& what) const {
  const auto at = groups_.find(what.group);
  if (at == groups_.end()) return std::vector<engine::pending_delivery>{};
  return engine::pending_of(at->second, what);
}

}  // namespace millrace::model
