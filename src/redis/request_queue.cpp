#include "request_queue.hpp"

#include <millrace/redis/server_error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace millrace::redis {
namespace {

bool equal_without_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return lower(x) == lower(y);
  });
}

error outcome_unknown(std::string_view why) {
  return {
      .kind = errc::outcome_unknown,
      .code = "connection_lost",
      .detail = fmt::format("the connection was lost after the request had been written, before "
                            "its reply: it may have been carried out ({})",
                            why)};
}

error given_up_error() {
  return {.kind = errc::cancelled, .code = "cancelled", .detail = "the request was given up"};
}

}  // namespace

result<reply> to_result(reply what) {
  if (what.kind() == reply_kind::error) return std::unexpected(to_error(what.text()));
  return what;
}

void request_queue::add(request&& what) {
  request_counters::bump(counters_->requests);
  waiting_.push_back(std::move(what));
}

void request_queue::write_to(std::string& out, std::size_t bytes, moment now) {
  while (!waiting_.empty() && out.size() < bytes) {
    request& next = waiting_.front();
    if (next.given_up()) {
      waiting_.drop_front();
      continue;
    }
    if (next.deadline <= now) {
      request late = waiting_.pop_front();
      fail_overdue(late, late.resends > 0, std::nullopt);
      continue;
    }
    if (next.one) next.one->write_to(out);
    for (const command& each : next.batch) each.write_to(out);
    if (next.again == resend::never && next.answer == request::answered_by::reply) {
      next.one.reset();
      next.batch = {};
      next.held.free_bytes();
    }
    next.sent_at = now;
    owed_.push_back(std::move(next));
    waiting_.drop_front();
  }
}

bool request_queue::on_reply(reply what) {
  if (owed_.empty()) return false;
  request& asked = owed_.front();
  if (asked.answer == request::answered_by::confirmation && what.kind() != reply_kind::error) {
    return false;
  }
  ++asked.replies_got;
  const bool last = asked.replies_got == asked.replies_expected;
  if (last) asked.held.give_back();
  if (auto* one = std::get_if<reply_handler>(&asked.done)) {
    (*one)(to_result(std::move(what)));
  } else if (auto* many = std::get_if<replies_handler>(&asked.done)) {
    asked.gathered.push_back(to_result(std::move(what)));
    if (last) (*many)(std::move(asked.gathered));
  } else if (last) {
    request_counters::bump(counters_->late_replies);
  }
  if (last) owed_.drop_front();
  return true;
}

bool request_queue::on_push(reply& what) {
  if (owed_.empty()) return false;
  request& asked = owed_.front();
  if (asked.answer != request::answered_by::confirmation || what.size() < 2) return false;
  if (!equal_without_case(asked.one->name(), what[0].text()) ||
      asked.one->first_argument() != what[1].text()) {
    return false;
  }
  asked.held.give_back();
  complete(asked, std::move(what));
  owed_.drop_front();
  return true;
}

request* request_queue::find(ring<request>& in, request_id which) {
  std::size_t low = 0;
  std::size_t high = in.size();
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    if (in[middle].id < which) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < in.size() && in[low].id == which ? &in[low] : nullptr;
}

void request_queue::cancel(request_id which) {
  request* found = find(waiting_, which);
  if (found == nullptr) found = find(owed_, which);
  if (found != nullptr) fail(*found, given_up_error());
}

void request_queue::expire(moment now, const std::optional<error>& why_down) {
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    request& each = waiting_[i];
    if (!each.given_up() && each.deadline <= now) fail_overdue(each, each.resends > 0, why_down);
  }
  while (!waiting_.empty() && waiting_.front().given_up()) waiting_.drop_front();
  for (std::size_t i = 0; i < owed_.size(); ++i) {
    request& each = owed_[i];
    if (!each.given_up() && each.deadline <= now) fail_overdue(each, true, why_down);
  }
}

moment request_queue::next_deadline() {
  moment first = moment::max();
  for (ring<request>* each : {&waiting_, &owed_}) {
    for (std::size_t i = 0; i < each->size(); ++i) {
      if (!(*each)[i].given_up()) first = std::min(first, (*each)[i].deadline);
    }
  }
  return first;
}

moment request_queue::silent_until(moment last_read, std::chrono::milliseconds patience) {
  if (owed_.empty()) return moment::max();
  const request& oldest = owed_.front();
  return std::max(oldest.deadline, std::max(last_read, oldest.sent_at) + patience);
}

void request_queue::on_lost(const error& why) {
  const error unknown = outcome_unknown(why.detail);
  std::vector<request> again;
  while (!owed_.empty()) {
    request each = owed_.pop_front();
    if (each.given_up()) continue;
    if (each.again == resend::never || each.resends >= resends_max) {
      each.held.give_back();
      fail(each, unknown);
      continue;
    }
    ++each.resends;
    each.replies_got = 0;
    each.gathered.clear();
    request_counters::bump(counters_->resent);
    again.push_back(std::move(each));
  }
  while (!again.empty()) {
    waiting_.push_front(std::move(again.back()));
    again.pop_back();
  }
}

void request_queue::refuse_waiting(const error& why) {
  while (!waiting_.empty()) {
    request each = waiting_.pop_front();
    each.held.give_back();
    fail(each, each.resends > 0 ? outcome_unknown(why.detail) : why);
  }
}

void request_queue::close() {
  const error unknown = outcome_unknown("it was closed");
  while (!owed_.empty()) {
    request each = owed_.pop_front();
    each.held.give_back();
    fail(each, unknown);
  }
  const error closed{.kind = errc::cancelled,
                     .code = "cancelled",
                     .detail = "the connection to Redis was closed before the request was written"};
  while (!waiting_.empty()) {
    request each = waiting_.pop_front();
    each.held.give_back();
    fail(each, each.resends > 0 ? unknown : closed);
  }
}

void request_queue::complete(request& what, result<reply> answer) {
  auto done = std::exchange(what.done, {});
  if (auto* one = std::get_if<reply_handler>(&done)) (*one)(std::move(answer));
}

void request_queue::fail(request& what, const error& why) {
  auto done = std::exchange(what.done, {});
  if (auto* one = std::get_if<reply_handler>(&done)) (*one)(std::unexpected(why));
  if (auto* many = std::get_if<replies_handler>(&done)) {
    // What has been answered stays answered.
    auto answers = std::exchange(what.gathered, {});
    while (answers.size() < what.replies_expected) answers.emplace_back(std::unexpected(why));
    (*many)(std::move(answers));
  }
}

void request_queue::fail_overdue(request& what, bool written,
                                 const std::optional<error>& why_down) {
  request_counters::bump(counters_->timed_out);
  if (written) {
    fail(what, {.kind = errc::deadline_exceeded,
                .code = "timeout",
                .detail = "Redis has not answered in time; the request may have been carried out"});
    return;
  }
  std::string reason = why_down ? fmt::format(": {}", why_down->detail)
                                : std::string{": those before it took too long"};
  fail(what, {.kind = errc::unavailable,
              .code = "not_sent",
              .detail = fmt::format("the request could not be sent in time{}", reason)});
}

}  // namespace millrace::redis
