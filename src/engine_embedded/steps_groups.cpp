#include "group_writer.hpp"

#include <millrace/engine/group_rules.hpp>
#include <millrace/engine/limits.hpp>

#include <algorithm>
#include <utility>

namespace millrace::embedded {

const engine::stream_info* group_writer::stream_of(const engine::group_key& key) {
  const stream_state* stream = events_.find(key.stream);
  return stream == nullptr ? nullptr : &stream->info;
}

engine::group_info group_writer::info(const engine::group_key& key, const kept_group& group) {
  return engine::describe(key, group.state, stream_of(key));
}

engine::group_state group_writer::new_group(const engine::group_key& key,
                                            const engine::group_start& start) {
  const stream_state* stream = events_.find(key.stream);
  const bool there = stream != nullptr;
  return {
      .created_at = now_,
      .place = engine::place_of(start, there ? &stream->info : nullptr, there ? stream->before : 0),
      .pending = {}};
}

group_writer::refused group_writer::refuse_new_group(const engine::group_key& key, plan& with) {
  if (groups_.find(key) != nullptr) return std::nullopt;
  const std::size_t of_stream =
      groups_.of_stream(key.stream).size() + with.groups_added_to[key.stream]++;
  if (of_stream >= engine::stream_groups_max) return engine::too_many_groups();
  if (groups_.count() + with.groups_added++ < engine::groups_max) return std::nullopt;
  return engine::too_many_groups();
}

group_writer::refused group_writer::check(const engine::put_group& step, plan& with) {
  return refuse_new_group(step.group, with);
}

engine::outcome group_writer::apply(engine::put_group& step, const plan&) {
  kept_group* group = groups_.find(step.group);
  const bool made = group == nullptr;
  if (made) {
    static_cast<void>(to_write());
    group = &groups_.add(step.group, new_group(step.group, step.start));
  } else if (step.move) {
    engine::group_state moved = new_group(step.group, step.start);
    moved.created_at = group->state.created_at;
    static_cast<void>(to_write());
    groups_.replace(step.group, *group, std::move(moved));
    hint_stream(step.group.stream);
  }
  return engine::group_changed{.group = info(step.group, *group), .made = made};
}

group_writer::refused group_writer::check(const engine::delete_group& step, plan&) {
  return groups_.find(step.group) != nullptr ? refused() : engine::group_not_found();
}

engine::outcome group_writer::apply(engine::delete_group& step, const plan&) {
  engine::group_changed out;
  if (const kept_group* group = groups_.find(step.group)) out.group = info(step.group, *group);
  static_cast<void>(to_write());
  groups_.erase(step.group);
  return out;
}

group_writer::refused group_writer::check(const engine::read_group& step, plan& with) {
  return refuse_new_group(step.group, with);
}

// Events whose lease has ended. True: as many bytes as one answer has.
bool group_writer::deliver_again(const engine::read_group& step, kept_group& group,
                                 engine::group_read& into) {
  const stream_state* stream = events_.find(step.group.stream);
  std::uint64_t bytes = 0;
  for (const std::uint64_t offset : engine::lapsed(group.state, now_, engine::group_pending_max)) {
    if (into.events.size() == step.max || bytes >= engine::event_page_bytes_max) break;
    static_cast<void>(to_write());
    engine::group_state::delivery& one = group.state.pending[offset];
    std::optional<engine::event> what;
    if (stream != nullptr) what = events_.event_at(*stream, offset);
    if (!what || what->stamp != one.stamp) {
      const bool trimmed = stream != nullptr && offset < stream->info.first;
      into.gap = trimmed ? engine::gap_reason::trimmed : engine::gap_reason::lost;
      ++into.missed;
      group.state.pending.erase(offset);
    } else {
      bytes += bytes_of(*what);
      one = {.stamp = one.stamp,
             .consumer = step.consumer,
             .deliveries = one.deliveries + 1,
             .delivered_at = now_,
             .lease_ends_at = now_ + step.lease};
      into.events.push_back({.what = std::move(*what), .deliveries = one.deliveries});
    }
    groups_.keep_delivery(group, offset);
  }
  return bytes >= engine::event_page_bytes_max;
}

void group_writer::deliver_new(const engine::read_group& step, kept_group& group,
                               engine::group_read& into) {
  const engine::stream_info* stream = stream_of(step.group);
  engine::group_state& state = group.state;
  const std::size_t room = std::min<std::size_t>(step.max - into.events.size(),
                                                 engine::group_pending_max - state.pending.size());
  // While a stream is forgotten there is nothing to be told of it.
  if (stream == nullptr || room == 0) return;
  engine::read_events::page page = events_.read({.stream = step.group.stream,
                                                 .from = state.place,
                                                 .limit = static_cast<std::uint32_t>(room)});
  if (page.gap != engine::gap_reason::none) into.gap = page.gap;
  if (page.gap == engine::gap_reason::trimmed)
    into.missed += stream->first - 1 - state.place.offset;
  if (page.end != state.place) {
    static_cast<void>(to_write());
    state.place = page.end;
    groups_.keep_place(step.group, group);
  }
  for (engine::event& each : page.events) {
    state.pending[each.offset] = {.stamp = each.stamp,
                                  .consumer = step.consumer,
                                  .deliveries = 1,
                                  .delivered_at = now_,
                                  .lease_ends_at = now_ + step.lease};
    groups_.keep_delivery(group, each.offset);
    into.events.push_back({.what = std::move(each), .deliveries = 1});
  }
}

engine::outcome group_writer::apply(engine::read_group& step, const plan&) {
  kept_group* group = groups_.find(step.group);
  if (group == nullptr) {
    static_cast<void>(to_write());
    group = &groups_.add(step.group, new_group(step.group, step.start));
  }
  engine::group_read out{.now = now_};
  if (!deliver_again(step, *group, out)) deliver_new(step, *group, out);
  out.full = group->state.pending.size() >= engine::group_pending_max;
  out.group = info(step.group, *group);
  out.next_end = group->state.next_end();
  return out;
}

group_writer::refused group_writer::check(const engine::settle_deliveries& step, plan&) {
  const kept_group* group = groups_.find(step.group);
  if (group == nullptr) return engine::group_not_found();
  return engine::refuses(group->state, step) ? engine::delivery_lost() : refused();
}

engine::outcome group_writer::apply(engine::settle_deliveries& step, const plan&) {
  kept_group* group = groups_.find(step.group);
  if (group == nullptr) return engine::deliveries_settled{};
  std::vector<std::uint64_t> changed;
  const bool others_may_read = engine::settling_wakes(group->state, step);
  engine::deliveries_settled out = engine::settle(group->state, step, now_, changed);
  if (!changed.empty()) static_cast<void>(to_write());
  for (const std::uint64_t offset : changed) groups_.keep_delivery(*group, offset);
  if (others_may_read && !changed.empty()) hint_stream(step.group.stream);
  return out;
}

void group_writer::hint_stream(const engine::stream_key& stream) {
  changed_topics_.push_back(engine::stream_topic(stream.project, stream.name));
}

result<engine::answer> group_writer::answer(const engine::list_groups& what) {
  std::vector<engine::group_info> out;
  for (const auto* each : groups_.of_stream(what.stream)) {
    out.push_back(info(each->first, each->second));
  }
  return out;
}

result<engine::answer> group_writer::answer(const engine::list_pending& what) {
  const kept_group* group = groups_.find(what.group);
  if (group == nullptr) return std::vector<engine::pending_delivery>{};
  return engine::pending_of(group->state, what);
}

}  // namespace millrace::embedded
