#include "job_codec.hpp"

#include <millrace/base/json.hpp>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <boost/json/value_to.hpp>

#include <utility>

/// Settings are kept as JSON, so that they can be read, and changed, by eye.
namespace millrace::engine_redis {
namespace {

json::object rate_object(const engine::rate_bound& bound) {
  return {{"limit", bound.limit}, {"per_us", bound.per.count()}};
}

json::object backoff_object(const backoff_spec& spec) {
  return {{"strategy", std::to_underlying(spec.strategy)},
          {"base_ms", spec.base.count()},
          {"max_ms", spec.max.count()},
          {"jitter", std::to_underlying(spec.jitter)}};
}

/// Reads members that are there; a member of another kind fails it.
class members final {
public:
  members(const json::object& from, bool& failed) : from_(from), failed_(failed) {}

  template <class Number>
  void take(std::string_view name, Number& into) {
    if (const json::value* found = from_.if_contains(name)) {
      boost::system::error_code wrong;
      const auto number = found->to_number<Number>(wrong);
      if (wrong) {
        failed_ = true;
      } else {
        into = number;
      }
    }
  }
  template <class Rep, class Period>
  void take(std::string_view name, std::chrono::duration<Rep, Period>& into) {
    Rep count = into.count();
    take(name, count);
    into = std::chrono::duration<Rep, Period>{count};
  }
  template <class T>
  void take(std::string_view name, engine::setting<T>& into) {
    if (!has(name)) return;
    T own = into.value();
    take(name, own);
    into = own;
  }
  template <class Enum>
  void take_enum(std::string_view name, Enum& into) {
    auto number = std::to_underlying(into);
    take(name, number);
    into = static_cast<Enum>(number);
  }
  const json::object* object(std::string_view name) {
    const json::value* found = from_.if_contains(name);
    if (found != nullptr && !found->is_object()) failed_ = true;
    return found != nullptr ? found->if_object() : nullptr;
  }
  [[nodiscard]] bool has(std::string_view name) const { return from_.contains(name); }

private:
  const json::object& from_;
  bool& failed_;
};

void take_rate(members& in, std::string_view name, engine::rate_bound& into, bool& failed) {
  if (const json::object* found = in.object(name)) {
    members rate(*found, failed);
    rate.take("limit", into.limit);
    rate.take("per_us", into.per);
  }
}

}  // namespace

std::string settings_to_json(const engine::queue_settings& settings) {
  const engine::queue_settings normal;
  json::object out;
  const auto add = [&out](std::string_view name, auto value, auto usual) {
    if (value != usual) out[name] = value;
  };
  if (settings.rate != normal.rate) out["rate"] = rate_object(settings.rate);
  if (settings.group_rate != normal.group_rate) {
    out["group_rate"] = rate_object(settings.group_rate);
  }
  add("concurrency", settings.concurrency, normal.concurrency);
  add("group_concurrency", settings.group_concurrency, normal.group_concurrency);
  const auto add_own = [&out](std::string_view name, const auto& setting, auto value) {
    if (setting.own()) out[name] = value;
  };
  add_own("depth_max", settings.depth_max, settings.depth_max.value());
  add_own("keep_finished_us", settings.keep_finished, settings.keep_finished.value().count());
  add_own("keep_finished_count", settings.keep_finished_count,
          settings.keep_finished_count.value());
  add_own("keep_dead_us", settings.keep_dead, settings.keep_dead.value().count());
  if (settings.level) out["level"] = std::to_underlying(*settings.level);
  if (settings.backoff) out["backoff"] = backoff_object(*settings.backoff);
  if (settings.max_attempts) out["max_attempts"] = *settings.max_attempts;
  add("priority_step_on_failure", settings.priority_step_on_failure,
      normal.priority_step_on_failure);
  return json::serialize(out);
}

engine::queue_settings settings_from_json(std::string_view text, bool& failed) {
  engine::queue_settings out;
  const result<json::value> parsed = parse_json(text);
  const json::object* const from = parsed ? parsed->if_object() : nullptr;
  if (from == nullptr) {
    failed = true;
    return out;
  }
  members in(*from, failed);
  take_rate(in, "rate", out.rate, failed);
  take_rate(in, "group_rate", out.group_rate, failed);
  in.take("concurrency", out.concurrency);
  in.take("group_concurrency", out.group_concurrency);
  in.take("depth_max", out.depth_max);
  in.take("keep_finished_us", out.keep_finished);
  in.take("keep_finished_count", out.keep_finished_count);
  in.take("keep_dead_us", out.keep_dead);
  if (in.has("level")) in.take_enum("level", out.level.emplace());
  if (const json::object* found = in.object("backoff")) {
    backoff_spec& backoff = out.backoff.emplace();
    members each(*found, failed);
    each.take_enum("strategy", backoff.strategy);
    each.take("base_ms", backoff.base);
    each.take("max_ms", backoff.max);
    each.take_enum("jitter", backoff.jitter);
  }
  if (in.has("max_attempts")) in.take("max_attempts", out.max_attempts.emplace());
  in.take("priority_step_on_failure", out.priority_step_on_failure);
  return out;
}

}  // namespace millrace::engine_redis
