#include "sse_subscriber.hpp"

#include "sse.hpp"
#include "sse_lane.hpp"
#include "stream_cursor.hpp"

#include <boost/asio/bind_executor.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <sys/socket.h>
#include <sys/uio.h>
#include <utility>

namespace millrace::http {
namespace {

/// Pieces of one call of the kernel.
constexpr std::size_t pieces_max = 64;
/// A client of a stream has nothing to say; one that goes on talking is cut off.
constexpr std::size_t received_bytes_max = 65536;
/// A queue that has grown beyond this is given back when it is empty.
constexpr std::size_t kept_items = 4;

}  // namespace

sse_subscriber::sse_subscriber(std::shared_ptr<sse_lane> lane, stream_socket socket,
                               std::vector<slot> slots, bool chunked, bool vector_id)
    : lane_(std::move(lane)),
      socket_(std::move(socket)),
      slots_(std::move(slots)),
      chunked_(chunked),
      vector_id_(vector_id) {
  unresolved_ = has_open_place();
  lane_->shared().opened();
}

sse_subscriber::~sse_subscriber() {
  boost::system::error_code ignored;
  socket_.close(ignored);
  lane_->shared().closed();
}

void sse_subscriber::start(std::string head, const std::vector<std::optional<stream_place>>& live) {
  sent_tick_ = stuck_tick_ = lane_->now();
  lane_->seat(*this, live);
  lane_->wait_on_wheel(shared_from_this(), lane_->comment_ticks());
  push({.batch = {}, .own = std::move(head), .first = {}, .second = {}});
  append_text(sse_retry);
  watch();
  if (!unresolved_) {
    pump();
    return;
  }
  // Whoever has the header misses nothing that is published from then on. While the store is away
  // it goes out with the first comment all the same.
  for (std::size_t i = 0; i < slots_.size(); ++i) (void)pull(i);
}

bool sse_subscriber::has_open_place() const noexcept {
  return std::ranges::any_of(
      slots_, [](const slot& each) { return each.where.what == stream_place::kind::latest; });
}

void sse_subscriber::news(std::size_t at) {
  if (gone_ || closing_) return;
  const bool came = pull(at);
  if (came && !writing_) pump();
}

bool sse_subscriber::has_room() {
  if (queued_bytes_ == 0) return true;
  const server_limits& limits = lane_->shared().limits;
  const bool room = queued_bytes_ < limits.stream_bytes_max &&
                    lane_->shared().waiting_bytes.load(std::memory_order_relaxed) <
                        limits.stream_bytes_in_flight_max;
  if (room) return true;
  if (!slow_) lane_->shared().numbers.slow.fetch_add(1, std::memory_order_relaxed);
  slow_ = true;
  if (limits.slow_readers == slow_reader_policy::close) drop();
  return false;
}

// Appends what the seating has for the slot, or has the store read; true where something came.
bool sse_subscriber::pull(std::size_t at) {
  slot& of = slots_[at];
  bool came = false;
  while (!gone_ && !closing_ && !of.asking) {
    // Ids of several streams count from the moment at which all places are known.
    if (unresolved_ && of.where.what != stream_place::kind::latest) break;
    const auto [batch, first] = of.at->behind(of.where);
    const bool reads = !batch && of.where != of.at->live;
    if (!batch && !reads) break;
    if (!has_room()) break;
    if (reads) {
      lane_->ask(shared_from_this(), at);
      break;
    }
    append(at, batch, first);
    came = true;
  }
  return came;
}

void sse_subscriber::take(std::size_t at, const batch_ptr& what) {
  slot& of = slots_[at];
  of.asking = false;
  if (gone_ || closing_) return;
  const std::size_t first = what->entry_from(of.where);
  const bool moved = what->end != of.where;
  if (first <= what->entries.size()) append(at, what, first);
  if (unresolved_) unresolved_ = has_open_place();
  // With nothing new the place is ahead of what the feed has told: it will come by here.
  if (moved && !closing_) (void)pull(at);
  if (!writing_ && !unresolved_) pump();
}

void sse_subscriber::append(std::size_t at, const batch_ptr& what, std::size_t first_entry) {
  slot& of = slots_[at];
  const std::size_t count = what->entries.size() - first_entry;
  lane_->delivered.fetch_add(count, std::memory_order_relaxed);
  if (count > 0 && (vector_id_ || !chunked_)) {
    append_with_own_id(of, what, first_entry);
  } else if (count > 0) {
    const std::size_t begin = what->entries[first_entry].begin;
    push({.batch = what,
          .own = {},
          .first = std::string_view{what->bytes}.substr(begin),
          .second = {}});
  }
  of.where = what->end;
  if (what->ended) end_now();
}

void sse_subscriber::append_with_own_id(slot& of, const batch_ptr& what, std::size_t first_entry) {
  const std::string_view bytes = what->bytes;
  for (std::size_t i = first_entry; i < what->entries.size(); ++i) {
    const event_batch::entry& each = what->entries[i];
    of.where = each.behind;
    const std::string_view rest = bytes.substr(each.id_end, each.text_end - each.id_end);
    const bool has_id = each.id_end != each.text;
    // Only a place: told once all places are known.
    if (vector_id_ && rest == "\n" && has_open_place()) continue;
    std::string own;
    if (vector_id_) {
      if (has_id) own = own_id();
    } else {
      own = bytes.substr(each.text, each.id_end - each.text);
    }
    if (chunked_) own = fmt::format("{:x}\r\n{}", own.size() + rest.size(), own);
    push({.batch = what,
          .own = std::move(own),
          .first = rest,
          .second = chunked_ ? bytes.substr(each.text_end, 2) : std::string_view{}});
  }
}

std::string sse_subscriber::own_id() const {
  std::vector<stream_position> places;
  places.reserve(slots_.size());
  for (const slot& each : slots_) {
    if (each.where.what != stream_place::kind::cursor) continue;
    places.push_back({.hash = each.hash, .place = each.where.cursor()});
  }
  return "id: " + positions_text(places) + "\n";
}

void sse_subscriber::append_text(std::string_view text) {
  std::string own;
  if (chunked_) {
    append_chunk(own, text);
  } else {
    own = text;
  }
  push({.batch = {}, .own = std::move(own), .first = {}, .second = {}});
}

void sse_subscriber::push(item what) {
  queued_bytes_ += what.size();
  queue_.push_back(std::move(what));
  if (writing_) account();
}

void sse_subscriber::end_now() {
  if (closing_) return;
  closing_ = true;
  if (chunked_) push({.batch = {}, .own = "0\r\n\r\n", .first = {}, .second = {}});
}

void sse_subscriber::say_farewell() {
  if (gone_ || closing_) return;
  append_text(fmt::format("retry: {}\n\n", lane_->shared().farewell_retry_ms()));
  end_now();
  if (!writing_) pump();
}

// Sends until nothing is left to send, or nothing more is taken.
void sse_subscriber::pump() {
  bool came = true;
  while (came && !gone_) {
    if (!flush()) return;
    came = false;
    for (std::size_t i = 0; i < slots_.size() && !gone_; ++i) came = pull(i) || came;
  }
}

bool sse_subscriber::flush() {
  while (head_ < queue_.size()) {
    const long sent = send_some();
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) {
        block();
      } else {
        drop();
      }
      return false;
    }
    sent_tick_ = stuck_tick_ = lane_->now();
    consume(static_cast<std::size_t>(sent));
  }
  queue_.clear();
  head_ = 0;
  if (queue_.capacity() > kept_items) std::vector<item>().swap(queue_);
  slow_ = false;
  account();
  if (!closing_) return true;
  boost::system::error_code ignored;
  socket_.shutdown(asio::socket_base::shutdown_send, ignored);
  drop();
  return false;
}

long sse_subscriber::send_some() {
  std::array<iovec, pieces_max> pieces{};
  std::size_t count = 0;
  std::size_t skip = sent_of_head_;
  for (std::size_t i = head_; i < queue_.size() && count + 3 <= pieces_max; ++i) {
    const item& each = queue_[i];
    for (std::string_view part : {std::string_view{each.own}, each.first, each.second}) {
      const std::size_t less = std::min(skip, part.size());
      part.remove_prefix(less);
      skip -= less;
      if (part.empty()) continue;
      // The kernel only reads.
      pieces[count++] = {const_cast<char*>(part.data()), part.size()};
    }
  }
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = count;
  return ::sendmsg(socket_.native_handle(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void sse_subscriber::consume(std::size_t bytes) {
  queued_bytes_ -= bytes;
  bytes += sent_of_head_;
  while (head_ < queue_.size() && bytes >= queue_[head_].size()) {
    bytes -= queue_[head_].size();
    queue_[head_++] = {};
  }
  sent_of_head_ = bytes;
}

void sse_subscriber::block() {
  if (writing_) return;
  writing_ = true;
  stuck_tick_ = lane_->now();
  account();
  lane_->hurry(*this);
  socket_.async_wait(stream_socket::wait_write,
                     asio::bind_executor(lane_->strand(), [self = shared_from_this()](
                                                              const boost::system::error_code& ec) {
                       self->writing_ = false;
                       if (!ec) self->on_writable();
                     }));
}

void sse_subscriber::on_writable() {
  if (!gone_) pump();
}

// What waits for slow readers counts against the bound of all of them.
void sse_subscriber::account() {
  const std::size_t now = writing_ && !gone_ ? queued_bytes_ : 0;
  if (now == accounted_bytes_) return;
  lane_->shared().waiting_bytes.fetch_add(now - accounted_bytes_, std::memory_order_relaxed);
  accounted_bytes_ = now;
}

void sse_subscriber::look() {
  if (gone_) return;
  const std::uint32_t now = lane_->now();
  if (writing_) {
    const std::uint32_t stuck = now - stuck_tick_;
    if (stuck >= lane_->write_ticks()) {
      lane_->shared().numbers.cut.fetch_add(1, std::memory_order_relaxed);
      drop();
      return;
    }
    lane_->wait_on_wheel(shared_from_this(), lane_->write_ticks() - stuck);
    return;
  }
  const std::uint32_t quiet = now - sent_tick_;
  if (quiet < lane_->comment_ticks()) {
    lane_->wait_on_wheel(shared_from_this(), lane_->comment_ticks() - quiet);
    return;
  }
  lane_->wait_on_wheel(shared_from_this(), lane_->comment_ticks());
  append_text(sse_comment);
  pump();
}

void sse_subscriber::watch() {
  socket_.async_wait(stream_socket::wait_read,
                     asio::bind_executor(lane_->strand(), [self = shared_from_this()](
                                                              const boost::system::error_code& ec) {
                       if (!ec && !self->gone_) self->on_readable();
                     }));
}

void sse_subscriber::on_readable() {
  std::array<char, 1024> bytes;
  const auto got = ::recv(socket_.native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT);
  const bool nothing = got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
  if (!nothing && got <= 0) {
    drop();
    return;
  }
  if (got > 0) received_bytes_ += static_cast<std::size_t>(got);
  if (received_bytes_ > received_bytes_max) {
    drop();
    return;
  }
  watch();
}

void sse_subscriber::drop() {
  if (gone_) return;
  gone_ = true;
  account();
  // Whoever calls may hold the last of it.
  const auto self = shared_from_this();
  lane_->leave(*this);
  boost::system::error_code ignored;
  socket_.close(ignored);
  queue_.clear();
  head_ = 0;
}

}  // namespace millrace::http
