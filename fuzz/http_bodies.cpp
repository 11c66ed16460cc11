// What HTTP clients send: bodies and queries. The first byte chooses which decoder reads the rest.
// Nothing is refused as a defect of ours, every refusal can be shown, and a job that was taken is
// written with the bytes it came with.

#include <millrace/base/assert.hpp>
#include <millrace/base/json.hpp>
#include <millrace/base/names.hpp>
#include <millrace/engine/checks.hpp>
#include <millrace/http/job_codec.hpp>
#include <millrace/http/queue_codec.hpp>
#include <millrace/http/target.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace {

using namespace millrace;
using namespace millrace::http;

const engine::queue_key queue{.name = "mail"};
const engine::job_id id{"mail", 7};

void showable(const error& why) {
  // An id that no job can have counts as one that is not there.
  MILLRACE_ASSERT(why.kind == errc::malformed || why.kind == errc::invalid_argument ||
                  why.kind == errc::too_large || why.kind == errc::unsupported ||
                  why.kind == errc::not_found);
  MILLRACE_ASSERT(!why.detail.empty() && is_utf8(why.detail) && is_utf8(why.field));
}

template <class Value>
bool taken(const result<Value>& decoded) {
  if (!decoded) showable(decoded.error());
  return decoded.has_value();
}

void written_as_sent(const enqueue_request& request) {
  const auto checked = check(request);
  if (!taken(checked)) return;
  engine::job made{.id = id, .queue = request.queue, .spec = request.spec};
  std::string text;
  append_job(text, made);
  MILLRACE_ASSERT(check_json(text));
  MILLRACE_ASSERT(raw_member(text, "data") == request.spec.data);
}

void read_enqueue(std::string_view body) {
  const auto decoded = decode_enqueue_body(body, queue);
  if (!taken(decoded)) return;
  MILLRACE_ASSERT(decoded->many || decoded->items.size() == 1);
  for (const auto& item : decoded->items) {
    if (taken(item)) written_as_sent(*item);
  }
}

// A decoded step is refused by the engine's own checks, or is one it can take.
template <class Step>
void read_step(const result<Step>& decoded) {
  if (taken(decoded)) (void)taken(engine::check_step(*decoded));
}

template <class Step>
void read_steps(const result<std::vector<result<Step>>>& decoded) {
  if (!taken(decoded)) return;
  for (const auto& each : *decoded) read_step(each);
}

void read_cron(std::string_view body) {
  const auto decoded = decode_cron(body, "default", "nightly");
  if (!taken(decoded) || !taken(engine::check_cron_entry(*decoded))) return;
  std::string text;
  append_cron(text, *decoded);
  MILLRACE_ASSERT(check_json(text));
}

void read_settings(std::string_view body) {
  const auto decoded = decode_queue_settings(body, {});
  if (!taken(decoded) || !taken(engine::check_queue_settings(*decoded))) return;
  std::string text;
  append_queue(text, {.queue = queue, .settings = *decoded}, timestamp{});
  MILLRACE_ASSERT(check_json(text));
}

void read_requeue(std::string_view body) {
  const auto decoded = decode_requeue(body);
  if (!taken(decoded)) return;
  for (const auto& each : decoded->ids) (void)taken(each);
}

void read_query(std::string_view text) {
  auto query = query_reader::parse(text);
  if (!taken(query)) return;
  (void)query->text("status");
  (void)query->flag("dry_run");
  const std::uint64_t limit = query->count("limit", 1, 1000, 50);
  MILLRACE_ASSERT(limit >= 1 && limit <= 1000);
  (void)query->prefixed("label");
  (void)taken(query->finish());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 14) {
    case 0: read_enqueue(body); break;
    case 1: (void)taken(decode_reserve(body, queue)); break;
    case 2: (void)taken(decode_reserve_many(body, "default")); break;
    case 3: read_step(decode_ack(body, id)); break;
    case 4: read_step(decode_fail(body, id)); break;
    case 5: read_step(decode_extend(body, id)); break;
    case 6: read_step(decode_snooze(body, id)); break;
    case 7: read_step(decode_progress(body, id)); break;
    case 8: read_steps(decode_acks(body)); break;
    case 9: read_steps(decode_extends(body)); break;
    case 10: read_cron(body); break;
    case 11: read_settings(body); break;
    case 12: read_requeue(body); break;
    default: read_query(body); break;
  }
  return 0;
}
