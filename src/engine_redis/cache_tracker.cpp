#include "cache_tracker.hpp"

#include "fields.hpp"

#include <algorithm>
#include <utility>

namespace millrace::engine_redis {
namespace {

/// Of more invalidated tags at once the names are not asked: everything of the project counts.
constexpr int tags_asked_max = 1000;
constexpr std::size_t stamp_bytes = 7;
/// A server that refuses to track is asked again, but not often.
constexpr std::chrono::seconds retry_max{5};

}  // namespace

cache_tracker::cache_tracker(asio::io_context& context, redis::connection_options link,
                             const std::string& root, engine::cache_observer& to,
                             std::chrono::milliseconds mark_every)
    : to_(to),
      state_key_(root + "state"),
      keys_(root + "cache:"),
      mark_every_(mark_every),
      timer_(context) {
  link.name = "millrace-cache";
  link.down_policy = redis::when_down::refuse;
  // Whatever is not answered until the next mark is late.
  link.request_timeout = std::min(link.request_timeout, 2 * mark_every_);
  link.health_check_interval = std::chrono::milliseconds{0};
  link.backoff.max = retry_max;
  link.setup.push_back(
      redis::command{"CLIENT"}.arg("TRACKING").arg("ON").arg("BCAST").arg("PREFIX").arg(keys_));
  link.on_push = [this](const redis::reply& push) { pushed(push); };
  link.on_state = [this](redis::link_state now, const error*) { link_changed(now); };
  to_.lost();
  link_ = std::make_unique<redis::connection>(context.get_executor(), std::move(link));
}

cache_tracker::~cache_tracker() = default;

awaitable<void> cache_tracker::stop() {
  ready_ = false;
  timer_.cancel();
  link_->close();
  co_await link_->stop();
}

void cache_tracker::link_changed(redis::link_state now) {
  const bool was_ready = std::exchange(ready_, now == redis::link_state::ready);
  if (ready_ == was_ready) return;
  ++connection_;
  projects_.clear();
  found_at_ = -1;
  if (!ready_) {
    timer_.cancel();
    to_.lost();
    return;
  }
  to_.found();
  ask_stamp();
  send_mark();
}

void cache_tracker::ask_stamp() {
  link_->send(redis::command{"HGET"}.key(state_key_).arg("numbers"), {},
              [this, on = connection_](const result<redis::reply>& answer) {
                if (on != connection_ || !answer) return;
                // The stamp is the first of the numbers that clock.lua keeps.
                fields numbers{answer->view().text()};
                const std::int64_t stamp = numbers.number(stamp_bytes);
                if (!numbers.failed()) found_at_ = stamp;
              });
}

void cache_tracker::send_mark() {
  const timestamp begun = to_.begin_mark();
  link_->send(redis::command{"PING"}, {},
              [this, begun, of = connection_](const result<redis::reply>& answer) {
                if (answer && !answer->view().is_error() && of == connection_) to_.mark(begun);
              });
  arm();
}

void cache_tracker::arm() {
  timer_.expires_after(mark_every_);
  timer_.async_wait([this](const boost::system::error_code& cut) {
    if (!cut && ready_) send_mark();
  });
}

void cache_tracker::pushed(const redis::reply& push) {
  const redis::reply_view all = push.view();
  if (all.size() < 2 || all[0].text() != "invalidate") return;
  const redis::reply_view keys = all[1];
  if (!keys.is_aggregate()) return to_.all_cleared();
  for (const redis::reply_view key : keys) key_changed(key.text());
}

void cache_tracker::key_changed(std::string_view key) {
  if (!key.starts_with(keys_)) return;
  key.remove_prefix(keys_.size());
  const std::size_t end = key.find_first_of("/:");
  if (end == std::string_view::npos) return;
  const std::string_view name = key.substr(0, end);
  if (key[end] == '/') return to_.key_changed(name, key.substr(end + 1));
  if (key.substr(end) != ":tags" || !to_.tags_in_doubt(name)) return;
  auto of = projects_.find(name);
  if (of == projects_.end())
    of = projects_.emplace(std::string{name}, project{.since = found_at_}).first;
  if (of->second.asking) {
    of->second.again = true;
  } else {
    ask_tags(of->first);
  }
}

void cache_tracker::ask_tags(const std::string& name) {
  project& of = projects_.find(name)->second;
  of.asking = true;
  of.again = false;
  const std::string from = of.since < 0 ? "-inf" : "(" + std::to_string(of.since);
  redis::command what{"ZRANGE"};
  what.key(keys_ + name + ":tags").arg("+inf").arg(from).arg("BYSCORE").arg("REV");
  what.arg("LIMIT").arg(0).arg(tags_asked_max + 1).arg("WITHSCORES");
  link_->send(std::move(what), {},
              [this, name, on = connection_](const result<redis::reply>& answer) {
                if (on == connection_) on_tags(name, answer);
              });
}

void cache_tracker::on_tags(const std::string& name, const result<redis::reply>& answer) {
  project& of = projects_.find(name)->second;
  of.asking = false;
  const bool known = answer && answer->view().is_aggregate() && answer->size() <= tags_asked_max;
  // Where they are not known everything counts as invalidated: that is never wrong.
  if (!known) to_.project_cleared(name);
  if (answer && answer->view().is_aggregate()) {
    for (const redis::reply_view row : answer->view()) {
      if (row.size() != 2) continue;
      const auto stamp = row[1].as_real();
      if (stamp) of.since = std::max(of.since, static_cast<std::int64_t>(*stamp));
      // \1 is no tag: it says which of them are no longer known, all of which were told.
      const std::string_view tag = row[0].text();
      if (tag.empty()) {
        to_.project_cleared(name);
      } else if (tag != "\1") {
        to_.tag_invalidated(name, tag);
      }
    }
  }
  if (of.again) return ask_tags(name);
  to_.tags_known(name);
}

}  // namespace millrace::engine_redis
