#include "gathering.hpp"

#include <type_traits>
#include <utility>

namespace millrace::engine_redis {

std::size_t gathering::open(std::size_t& at, item::kind what) {
  if (at == nowhere) {
    at = items_.size();
    items_.push_back({.what = what});
  }
  return at;
}

template <class Encoder>
void gathering::close(std::size_t& at, Encoder& encoder) {
  if (at == nowhere) return;
  items_[at].text = encoder.take();
  bytes_ += items_[at].text.size();
  at = nowhere;
}

void gathering::close_all() {
  close(jobs_at_, jobs_);
  close(locks_at_, locks_);
  close(limits_at_, limits_);
}

std::size_t gathering::add(const unit& one) {
  if (!one.asked && one.index == unit::none) return nowhere;
  if (!one.asked) {
    const engine::transaction& what = one.of->batch[one.index];
    if (is_hot(what)) {
      jobs_.add(what);
      return open(jobs_at_, item::kind::jobs);
    }
    if (is_hot_lock(what)) {
      locks_.add(what);
      return open(locks_at_, item::kind::locks);
    }
    if (is_hot_limits(what)) {
      if (limits_.is_full()) close(limits_at_, limits_);
      limits_.add(what);
      return open(limits_at_, item::kind::limits);
    }
  }
  close_all();
  items_.push_back(
      {one.asked ? names_.encode(one.asked->what) : names_.encode(one.of->batch[one.index])});
  bytes_ += items_.back().text.size();
  return items_.size() - 1;
}

std::vector<item> gathering::take() {
  close_all();
  return std::move(items_);
}

item_decoder::item_decoder(item::kind what, const redis::reply_view& answered,
                           engine::durability strongest)
    : answered_(answered.text()), strongest_(strongest) {
  switch (what) {
    case item::kind::single: break;
    case item::kind::jobs: many_.emplace<hot_decoder>(answered, strongest); break;
    case item::kind::locks: many_.emplace<lock_decoder>(answered_, strongest); break;
    case item::kind::limits: many_.emplace<limit_decoder>(answered_, strongest); break;
  }
}

engine::commit_result item_decoder::next(const engine::transaction& asked) {
  return std::visit(
      [&](auto& in) -> engine::commit_result {
        if constexpr (std::is_same_v<std::remove_reference_t<decltype(in)>, std::monostate>) {
          return decode_commit(asked, answered_, strongest_);
        } else {
          return in.next(asked);
        }
      },
      many_);
}

}  // namespace millrace::engine_redis
