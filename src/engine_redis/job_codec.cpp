#include "job_codec.hpp"

#include "fields.hpp"

#include <array>
#include <utility>

namespace millrace::engine_redis {

using engine::job;
using engine::job_spec;

namespace {

// Beside what every job has: only of a few.
constexpr std::size_t rare_values = 13;

std::string pack_body(const job_spec& spec) {
  packer out;
  out.add(spec.type).array(spec.labels.size() * 2);
  for (const auto& [key, value] : spec.labels) out.add(key).add(value);
  out.add(spec.data);
  return out.take();
}

void unpack_body(unpacker& in, job_spec& into) {
  into.type = in.text();
  for (std::size_t left = in.array() / 2; left > 0 && !in.failed(); --left) {
    std::string key(in.text());
    into.labels.emplace_back(std::move(key), in.text());
  }
  into.data = in.text();
}

std::string pack_rare(const job_spec& spec) {
  if (spec.correlation_id.empty() && spec.traceparent.empty()) return {};
  packer out;
  for (std::size_t i = 0; i + 2 < rare_values; ++i) out.nil();
  out.add_unless_empty(spec.correlation_id).add_unless_empty(spec.traceparent);
  return out.take();
}

std::string_view error_word(std::int64_t number) {
  constexpr std::array<std::string_view, 4> words{"", "handler_failed", "permanent",
                                                  "lease_expired"};
  return number >= 0 && number < std::ssize(words) ? words[static_cast<std::size_t>(number)] : "";
}

void unpack_rare(std::string_view packed, job& into) {
  if (packed.empty()) return;
  unpacker in(packed);
  into.error = in.text_or_empty();
  into.error_code = error_word(in.integer_or(0));
  static_cast<void>(in.text_or_empty());
  if (!in.nil()) static_cast<void>(in.boolean());
  into.first_failed_at = maybe_time(in);
  into.failed_at = maybe_time(in);
  into.result = in.text_or_empty();
  into.checkpoint = in.text_or_empty();
  if (!in.nil()) {
    engine::job_progress& progress = into.progress.emplace();
    progress.value = in.real();
    progress.message = in.text();
    progress.updated_at = unpack_time(in);
  } else {
    static_cast<void>(in.text_or_empty());
    static_cast<void>(in.maybe_integer());
  }
  into.spec.correlation_id = in.text_or_empty();
  into.spec.traceparent = in.text_or_empty();
}

}  // namespace

std::string pack_backoff(const backoff_spec& spec) {
  if (spec == backoff_spec{}) return {};
  packer out;
  out.add(std::to_underlying(spec.strategy)).add(spec.base.count()).add(spec.max.count());
  return out.add(std::to_underlying(spec.jitter)).take();
}

void unpack_backoff(std::string_view packed, backoff_spec& into) {
  if (packed.empty()) return;
  unpacker in(packed);
  into.strategy = static_cast<backoff_strategy>(in.integer());
  into.base = std::chrono::milliseconds{in.integer()};
  into.max = std::chrono::milliseconds{in.integer()};
  into.jitter = static_cast<backoff_jitter>(in.integer());
}

void pack_spec(packer& out, std::size_t queue, const job_spec& spec, engine::durability level,
               left_to_queue left) {
  const int flags = (left.attempts ? 1 : 0) + (left.backoff ? 2 : 0) + (left.level ? 4 : 0);
  out.add(queue).add(flags).add(std::to_underlying(level)).add(spec.priority);
  out.add(spec.delay.count());
  if (spec.run_at) {
    out.add(to_micros(*spec.run_at));
  } else {
    out.nil();
  }
  out.add(spec.max_attempts).add_unless_empty(pack_backoff(spec.backoff));
  if (spec.unique) {
    out.add(spec.unique->key).add(std::to_underlying(spec.unique->mode));
  } else {
    out.nil().nil();
  }
  out.add_unless(spec.lease.count(), 0).add_unless(spec.timeout.count(), 0);
  out.add_unless_empty(spec.group).add_unless_empty(pack_rare(spec)).add(pack_body(spec));
}

job_spec unpack_spec(unpacker& in, left_to_queue& left) {
  job whole;
  job_spec& spec = whole.spec;
  static_cast<void>(in.integer());
  const std::int64_t flags = in.integer();
  left = {.attempts = flags % 2 == 1, .backoff = flags % 4 >= 2, .level = flags >= 4};
  static_cast<void>(in.integer());
  spec.priority = static_cast<std::uint8_t>(in.integer());
  spec.delay = duration{in.integer()};
  spec.run_at = maybe_time(in);
  spec.max_attempts = static_cast<std::uint32_t>(in.integer());
  unpack_backoff(in.text_or_empty(), spec.backoff);
  if (!in.nil()) {
    spec.unique = engine::unique_spec{.key = std::string(in.text())};
    spec.unique->mode = static_cast<engine::unique_mode>(in.integer());
  } else if (!in.nil()) {
    in.fail();
  }
  spec.lease = duration{in.integer_or(0)};
  spec.timeout = duration{in.integer_or(0)};
  spec.group = in.text_or_empty();
  unpack_rare(in.text_or_empty(), whole);
  unpacker body(in.text());
  unpack_body(body, spec);
  if (body.failed()) in.fail();
  return std::move(spec);
}

bool unpack_record(std::string_view packed, job& into) {
  fields in(packed);
  const auto id = static_cast<std::int64_t>(into.id.stamp);
  const auto maybe_time = [&] {
    const std::int64_t at = in.distance();
    return at == nothing ? std::nullopt : std::optional(from_micros(at));
  };
  job_spec& spec = into.spec;
  const bool ran = in.number(1) == 1;
  static_cast<void>(in.number(3));  // The queue's number.
  into.created_at = from_micros(in.distance());
  into.run_at = from_micros(in.distance());
  into.status = static_cast<engine::job_status>(in.number(1));
  spec.priority = static_cast<std::uint8_t>(in.number(1));
  into.attempts = static_cast<std::uint32_t>(in.number(2));
  const std::int64_t flags = in.number(2);
  static_cast<void>(in.distance());  // The stamp of becoming available.
  into.version = static_cast<std::uint64_t>(id + in.distance());
  spec.max_attempts = static_cast<std::uint32_t>(in.number(2));
  spec.lease = duration{in.number(6)};
  spec.timeout = duration{in.number(6)};
  const auto length = [&](std::size_t bytes) { return static_cast<std::size_t>(in.number(bytes)); };
  const std::size_t backoff = length(1);
  const std::size_t group = length(1);
  const std::size_t unique = length(2);
  const std::size_t rare = length(4);
  if (ran) {
    const std::int64_t token = in.distance();
    into.token = token == nothing ? 0 : static_cast<std::uint64_t>(id + token);
    into.started_at = maybe_time();
    into.leased_until = maybe_time();
    static_cast<void>(in.number(6));  // The length of the lease.
    into.finished_at = maybe_time();
    into.worker = in.text(length(1));
  }
  unpack_rare(in.text(rare), into);
  unpack_backoff(in.text(backoff), spec.backoff);
  spec.group = in.text(group);
  if (unique > 0) {
    spec.unique = engine::unique_spec{.key = std::string(in.text(unique))};
    spec.unique->mode = static_cast<engine::unique_mode>(flags / 16 % 4);
  }
  unpacker body(in.rest());
  unpack_body(body, spec);
  into.level = static_cast<engine::durability>(flags % 4);
  into.cancel_requested = flags % 8 >= 4;
  if (!in.failed() && !body.failed()) return true;
  into = job{.id = into.id};
  return false;
}

void note_run(const begun_run& what, job& into) {
  into.status = engine::job_status::running;
  into.attempts = what.attempts;
  into.token = what.token;
  into.version = what.token + 1;
  into.worker = what.worker;
  into.started_at = what.started_at;
  into.leased_until = what.leased_until;
  into.finished_at.reset();
}

std::string pack_record(const job_spec& spec, engine::durability level) {
  const std::string backoff = pack_backoff(spec.backoff);
  const std::string rare = pack_rare(spec);
  const std::string body = pack_body(spec);
  std::string out;
  out.reserve(64 + backoff.size() + rare.size() + spec.group.size() + body.size());
  put_number(out, 0, 1);  // Queued.
  put_number(out, spec.priority, 1);
  put_number(out, 0, 2);  // Attempts.
  put_number(out, std::to_underlying(level), 2);
  // It is available with the stamp after its id, and the one after that is its version.
  put_number(out, 1, 7);
  put_number(out, 2, 7);
  put_number(out, spec.max_attempts, 2);
  put_number(out, spec.lease.count(), 6);
  put_number(out, spec.timeout.count(), 6);
  put_number(out, std::ssize(backoff), 1);
  put_number(out, std::ssize(spec.group), 1);
  put_number(out, 0, 2);  // No unique key.
  put_number(out, std::ssize(rare), 4);
  out.append(rare).append(backoff).append(spec.group).append(body);
  return out;
}

job unpack_job(unpacker& in) {
  job out;
  out.id.tag = in.text();
  out.id.stamp = static_cast<std::uint64_t>(in.integer());
  if (in.nil()) {
    if (!in.nil() || !in.nil()) in.fail();
    return out;
  }
  out.queue.project = in.text();
  out.queue.name = in.text();
  const std::string_view packed = in.raw(in.integer());
  if (!in.failed()) unpack_record(packed, out);
  return out;
}

}  // namespace millrace::engine_redis
