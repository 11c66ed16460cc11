#include "operation.hpp"

#include <millrace/base/text_time.hpp>

#include <array>
#include <ostream>
#include <string_view>

namespace millrace::conformance {

using namespace std::chrono_literals;
using engine::job_spec;
using enum operation::kind;

namespace {

constexpr std::array<std::string_view, 3> queue_names{"a", "b.{tag}", "c"};
constexpr std::array<std::string_view, operation_kinds> words{
    "enqueue",     "lease",     "ack",       "fail",    "extend",    "snooze",
    "report",      "cancel",    "remove",    "requeue", "purge",     "configure",
    "save_cron",   "fire_slot", "drop_cron", "cache",   "take_some", "give_some_back",
    "forget_some", "advance",   "together",  "batched", "restart",   "compare"};
// Mostly shorter than a lease, so that runs live long enough to be ended.
constexpr std::array<duration, 12> spans{1us, 1ms, 500ms, 1s, 1s, 2s, 2s, 5s, 10s, 30s, 60s, 5min};

backoff_spec backoff_of(std::size_t choice) {
  // No jitter: it is drawn from the id, which no two engines share.
  backoff_spec spec{.base = 10s, .max = 60s, .jitter = backoff_jitter::none};
  if (choice == 1) spec.base = 0s;
  if (choice == 2) spec.strategy = backoff_strategy::fixed;
  if (choice == 3) spec.strategy = backoff_strategy::linear;
  return spec;
}

}  // namespace

engine::queue_key queue_of(const operation& op) {
  // The first one most often, so that jobs meet.
  constexpr std::array<std::size_t, 6> of{0, 1, 2, 0, 0, 1};
  return {.name = std::string(queue_names.at(of.at(op.choose(0, of.size()))))};
}

job_spec spec_of(const operation& op) {
  job_spec spec{.type = op.choose(2, 3) == 0 ? "x" : "y",
                .data = std::to_string(op.dice[2]),
                .priority = static_cast<std::uint8_t>(op.choose(1, 10)),
                .max_attempts = static_cast<std::uint32_t>(4 - op.choose(2, 4)),
                .backoff = backoff_of(op.choose(3, 4))};
  // Dice of zero make the plainest job, so that shrinking takes away what does not matter.
  switch (op.choose(4, 8)) {
    case 3:
    case 4: spec.delay = spans.at(op.choose(3, spans.size())); break;
    case 5: spec.timeout = 8s; break;
    case 6: spec.lease = 5s; break;
    case 7: spec.labels = {{"k", std::to_string(op.choose(2, 2))}}; break;
    default: break;
  }
  if (op.choose(3, 3) == 2) spec.group = op.choose(2, 2) == 0 ? "g" : "h";
  if (op.choose(5, 4) == 3) {
    spec.unique = engine::unique_spec{.key = op.choose(3, 2) == 0 ? "u" : "v",
                                      .mode = static_cast<engine::unique_mode>(op.choose(2, 3))};
  }
  if (op.choose(2, 3) == 1) spec.correlation_id = op.choose(3, 2) == 0 ? "r" : "s";
  return spec;
}

engine::queue_settings settings_of(const operation& op) {
  engine::queue_settings settings;
  switch (op.choose(1, 8)) {
    case 7: settings.concurrency = 2; break;
    case 1: settings.group_concurrency = 1; break;
    case 2: settings.rate = {2, 10s}; break;
    case 3: settings.group_rate = {1, 5s}; break;
    case 4: settings.depth_max = 5; break;
    case 5: settings.priority_step_on_failure = 2; break;
    case 6:
      settings.rate = {3, 30s};
      settings.concurrency = 3;
      settings.group_concurrency = 2;
      break;
    default: break;
  }
  return settings;
}

duration span_of(const operation& op) { return spans.at(op.choose(1, spans.size())); }

bool goes_back(const operation& op) { return op.choose(0, 20) == 19; }

std::string cron_name_of(const operation& op) { return op.choose(1, 2) == 0 ? "m" : "n"; }

engine::cron_overlap overlap_of(const operation& op) {
  return static_cast<engine::cron_overlap>(op.choose(2, 3));
}

ending ending_of(const operation& op) {
  return op.choose(0, 3) == 0 ? ending::closed : ending::killed;
}

duration away_of(const operation& op) { return op.choose(2, 2) == 0 ? 0s : span_of(op); }

std::size_t company_of(const operation& op) { return 2 + op.choose(0, 3); }

// Mostly one of the latest, sometimes one of long ago.
std::size_t back_of(const operation& op) {
  return op.choose(0, 8) == 7 ? op.choose(1, 20) : op.choose(1, 3);
}

bool likely_apt(const operation& op) { return op.choose(5, 8) != 7; }

std::size_t key_of(const operation& op) { return op.choose(4, 16) >= 14 ? 1 + op.choose(2, 2) : 0; }

std::ostream& operator<<(std::ostream& out, const operation& op) {
  out << words.at(static_cast<std::size_t>(op.what));
  const auto span = [&] { return " " + format_duration(span_of(op)); };
  const auto back = [&] { return " #-" + std::to_string(back_of(op)); };
  switch (op.what) {
    case enqueue: {
      const job_spec spec = spec_of(op);
      out << ' ' << queue_of(op).name << " priority " << int{spec.priority} << " attempts "
          << spec.max_attempts;
      if (spec.delay != 0s) out << " delay " << format_duration(spec.delay);
      if (!spec.group.empty()) out << " group " << spec.group;
      if (spec.unique) {
        out << " unique " << spec.unique->key << '/' << static_cast<int>(spec.unique->mode);
      }
      if (key_of(op) != 0) out << " key " << key_of(op);
      break;
    }
    case lease: out << ' ' << queue_of(op).name << " max " << 1 + op.choose(2, 4) << span(); break;
    case configure: out << ' ' << queue_of(op).name << " variant " << op.choose(1, 8); break;
    case purge: out << ' ' << queue_of(op).name << " target " << op.choose(1, 3); break;
    case save_cron:
    case fire_slot:
    case drop_cron: out << ' ' << cron_name_of(op); break;
    case take_some:
    case give_some_back:
    case forget_some:
      for (const engine::limit_check& each : limits_of(op, manual_clock::default_start())) {
        out << ' ' << engine::limit_name(each) << " limit " << each.limit << " cost " << each.cost;
      }
      break;
    case advance: out << (goes_back(op) ? " back" : "") << span(); break;
    case together:
    case batched: out << ' ' << company_of(op); break;
    case restart:
      out << (ending_of(op) == ending::killed ? " killed" : " closed") << " away "
          << format_duration(away_of(op));
      break;
    case compare: break;
    default: out << back() << (likely_apt(op) ? "" : " of any"); break;
  }
  out << "  [";
  for (const std::uint8_t die : op.dice) out << ' ' << int{die};
  return out << " ]";
}

}  // namespace millrace::conformance
