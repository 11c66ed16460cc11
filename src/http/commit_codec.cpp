#include "commit_codec.hpp"

#include "enqueue_codec.hpp"
#include "event_codec.hpp"
#include "group_codec.hpp"
#include "json_members.hpp"
#include "lock_codec.hpp"
#include "progress_codec.hpp"
#include "session_codec.hpp"

#include <millrace/base/json.hpp>
#include <millrace/engine/limits.hpp>
#include <millrace/http/cache_codec.hpp>
#include <millrace/http/job_codec.hpp>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>
#include <variant>

namespace millrace::http {
namespace {

// One step: what the path of its route names is taken out, the rest is the body of the route, byte
// for byte.
class step_text final {
public:
  step_text(const json::object& parsed, std::string_view raw) : parsed_(parsed), raw_(raw) {}

  [[nodiscard]] result<std::string> take(std::string_view name) {
    taken_.push_back(name);
    const json::value* found = parsed_.if_contains(name);
    if (found == nullptr) {
      return invalid(std::string{name}, fmt::format("{} is missing.", name));
    }
    if (const json::string* text = found->if_string())
      return std::string(text->begin(), text->end());
    return invalid(std::string{name}, fmt::format("{} must be a string.", name));
  }

  [[nodiscard]] std::string rest() const {
    std::string out = "{";
    for (const json::key_value_pair& member : parsed_) {
      const std::string_view name{member.key().data(), member.key().size()};
      if (std::ranges::find(taken_, name) != taken_.end()) continue;
      if (out.size() > 1) out += ',';
      append_json_string(out, name);
      out += ':';
      out += raw_member(raw_, name).value_or("null");
    }
    return out + '}';
  }

private:
  const json::object& parsed_;
  std::string_view raw_;
  std::vector<std::string_view> taken_;
};

struct step_context {
  step_text& text;
  const std::string& project;
  const engine::store_traits& store;
  const session_settings& sessions;
  /// Of the session that the step names.
  std::string& session_id;
  const limit_settings& limits;
  /// Set where the step is about limits.
  std::optional<limit_step>& limit;
};
using step_result = result<engine::step>;

template <class Step>
step_result as_step(result<Step> read) {
  if (!read) return std::unexpected(std::move(read.error()));
  return engine::step{std::move(*read)};
}

result<engine::job_id> take_job(step_text& text) {
  result<std::string> id = text.take("id");
  if (!id) return std::unexpected(std::move(id.error()));
  std::optional<engine::job_id> parsed = engine::job_id::parse(*id);
  if (parsed) return std::move(*parsed);
  return invalid("id", "id is none of a job.");
}

template <class Step>
step_result read_run(const step_context& with,
                     result<Step> (*decode)(std::string_view, engine::job_id)) {
  result<engine::job_id> id = take_job(with.text);
  if (!id) return std::unexpected(std::move(id.error()));
  return as_step(decode(with.text.rest(), std::move(*id)));
}

template <class Step>
step_result read_bare_job(const step_context& with) {
  result<engine::job_id> id = take_job(with.text);
  if (!id) return std::unexpected(std::move(id.error()));
  const std::string rest = with.text.rest();
  if (rest == "{}") return engine::step{Step{.id = std::move(*id)}};
  return invalid("id", "This op has nothing but an id.", "unknown_member");
}

step_result read_enqueue_step(const step_context& with) {
  result<std::string> queue = with.text.take("queue");
  if (!queue) return std::unexpected(std::move(queue.error()));
  result<enqueue_request> request =
      decode_enqueue(with.text.rest(), {.project = with.project, .name = std::move(*queue)});
  if (!request) return std::unexpected(std::move(request.error()));
  return to_step(std::move(*request), with.store);
}

step_result read_publish_step(const step_context& with) {
  result<std::string> stream = with.text.take("stream");
  if (!stream) return std::unexpected(std::move(stream.error()));
  result<publish_request> request =
      decode_publish(with.text.rest(), {.project = with.project, .name = std::move(*stream)});
  if (!request) return std::unexpected(std::move(request.error()));
  if (request->level) {
    return invalid("durability", "durability is that of the whole commit: give it beside steps.");
  }
  return engine::step{std::move(request->step)};
}

struct lock_names {
  engine::lock_key key;
  std::string token;
};
result<lock_names> take_lock(const step_context& with) {
  result<std::string> resource = with.text.take("resource");
  if (!resource) return std::unexpected(std::move(resource.error()));
  result<std::string> token = with.text.take("token");
  if (!token) return std::unexpected(std::move(token.error()));
  return lock_names{{.project = with.project, .resource = std::move(*resource)}, std::move(*token)};
}

step_result read_extend_lock(const step_context& with) {
  result<lock_names> lock = take_lock(with);
  if (!lock) return std::unexpected(std::move(lock.error()));
  engine::extend_lock step{.key = std::move(lock->key), .token = std::move(lock->token)};
  const std::string rest = with.text.rest();
  // Without a ttl it only has to be held.
  if (rest == "{}") return engine::step{std::move(step)};
  const result<duration> ttl = decode_lock_ttl(rest);
  if (!ttl) return std::unexpected(ttl.error());
  step.ttl = *ttl;
  return engine::step{std::move(step)};
}

step_result read_release_lock(const step_context& with) {
  result<lock_names> lock = take_lock(with);
  if (!lock) return std::unexpected(std::move(lock.error()));
  if (with.text.rest() != "{}") {
    return invalid("resource", "lock.release has nothing but a resource and a token.",
                   "unknown_member");
  }
  return engine::step{
      engine::release_lock{.key = std::move(lock->key), .token = std::move(lock->token)}};
}

step_result read_pass_fence(const step_context& with) {
  result<std::string> resource = with.text.take("resource");
  if (!resource) return std::unexpected(std::move(resource.error()));
  const result<std::uint64_t> fence = decode_fence(with.text.rest());
  if (!fence) return std::unexpected(fence.error());
  return engine::step{engine::pass_fence{
      .key = {.project = with.project, .resource = std::move(*resource)}, .fence = *fence}};
}

// In a commit every delivery has to be this consumer's, unless it says otherwise.
step_result read_ack_events(const step_context& with) {
  result<std::string> stream = with.text.take("stream");
  if (!stream) return std::unexpected(std::move(stream.error()));
  return as_step(decode_settle(with.text.rest(),
                               {.project = with.project, .name = std::move(*stream)},
                               engine::settle_deliveries::verdict::done, true));
}

template <class Read>
step_result store_session_id(const step_context& with, Read read) {
  result<std::string> id = with.text.take("id");
  if (!id) return std::unexpected(std::move(id.error()));
  with.session_id = std::move(*id);
  return read();
}

step_result read_progress_step(const step_context& with) {
  result<std::string> id = with.text.take("correlation_id");
  if (!id) return std::unexpected(std::move(id.error()));
  return as_step(decode_put_progress(with.text.rest(), with.project, std::move(*id)));
}

step_result read_agent_step(const step_context& with) {
  result<std::string> flow = with.text.take("flow_id");
  if (!flow) return std::unexpected(std::move(flow.error()));
  result<std::string> agent = with.text.take("agent");
  if (!agent) return std::unexpected(std::move(agent.error()));
  return as_step(decode_agent(with.text.rest(), with.project, std::move(*flow), std::move(*agent)));
}

step_result read_create_session(const step_context& with) {
  return as_step(decode_create_session(with.text.rest(), with.project, with.sessions));
}

step_result read_update_session(const step_context& with) {
  return store_session_id(with, [&with]() -> step_result {
    return as_step(decode_session_update(with.text.rest(), with.project));
  });
}

step_result read_delete_session(const step_context& with) {
  return store_session_id(with, [&with]() -> step_result {
    if (with.text.rest() == "{}") {
      return engine::step{engine::end_session{{.project = with.project}}};
    }
    return invalid("id", "session.delete has nothing but an id.", "unknown_member");
  });
}

step_result read_cache_put(const step_context& with) {
  return as_step(decode_cache_item(with.text.rest(), with.project));
}

step_result read_cache_delete(const step_context& with) {
  return as_step(decode_cache_delete(with.text.rest(), with.project));
}

step_result read_cache_invalidate(const step_context& with) {
  result<std::string> tag = with.text.take("tag");
  if (!tag) return std::unexpected(std::move(tag.error()));
  if (with.text.rest() != "{}") {
    return invalid("tag", "cache.invalidate has nothing but a tag.", "unknown_member");
  }
  return engine::step{engine::invalidate_tag{.project = with.project, .tag = std::move(*tag)}};
}

// The step itself is made once it is known whose counts it means.
template <limit_step::verb what>
step_result read_limits(const step_context& with) {
  auto read = decode_limit_step(what, with.text.rest(), with.project, with.limits);
  if (!read) return std::unexpected(std::move(read.error()));
  with.limit = std::move(*read);
  return engine::step{engine::take_limits{.project = with.project}};
}

struct op_rule {
  std::string_view op;
  step_result (*read)(const step_context& with);
};
constexpr std::array op_rules{
    op_rule{"job.enqueue", &read_enqueue_step},
    op_rule{"job.ack", [](const step_context& with) { return read_run(with, &decode_ack); }},
    op_rule{"job.fail", [](const step_context& with) { return read_run(with, &decode_fail); }},
    op_rule{"job.extend", [](const step_context& with) { return read_run(with, &decode_extend); }},
    op_rule{"job.snooze", [](const step_context& with) { return read_run(with, &decode_snooze); }},
    op_rule{"job.progress",
            [](const step_context& with) { return read_run(with, &decode_progress); }},
    op_rule{"job.cancel", &read_bare_job<engine::cancel_job>},
    op_rule{"job.delete", &read_bare_job<engine::delete_job>},
    op_rule{"job.requeue", &read_bare_job<engine::requeue_dead>},
    op_rule{"event.publish", &read_publish_step},
    op_rule{"lock.extend", &read_extend_lock},
    op_rule{"lock.release", &read_release_lock},
    op_rule{"progress.put", &read_progress_step},
    op_rule{"agent.put", &read_agent_step},
    op_rule{"lock.pass", &read_pass_fence},
    op_rule{"event.ack", &read_ack_events},
    op_rule{"session.create", &read_create_session},
    op_rule{"session.update", &read_update_session},
    op_rule{"session.delete", &read_delete_session},
    op_rule{"cache.put", &read_cache_put},
    op_rule{"cache.delete", &read_cache_delete},
    op_rule{"cache.invalidate", &read_cache_invalidate},
    op_rule{"limit.take", &read_limits<limit_step::verb::take>},
    op_rule{"limit.refund", &read_limits<limit_step::verb::refund>},
    op_rule{"limit.settle", &read_limits<limit_step::verb::settle>},
    op_rule{"limit.renew", &read_limits<limit_step::verb::renew>},
    op_rule{"limit.release", &read_limits<limit_step::verb::release>},
    op_rule{"limit.block", &read_limits<limit_step::verb::block>},
    op_rule{"limit.unblock", &read_limits<limit_step::verb::unblock>},
};

step_result read_step(const json::value& parsed, std::string_view raw, commit_request& into,
                      const std::string& project, const engine::store_traits& store,
                      const session_settings& sessions, const limit_settings& limits) {
  const json::object* members = parsed.if_object();
  if (members == nullptr) return invalid("", "a step must be an object.");
  step_text text(*members, raw);
  result<std::string> op = text.take("op");
  if (!op) return std::unexpected(std::move(op.error()));
  for (const op_rule& rule : op_rules) {
    if (rule.op != *op) continue;
    into.ops.push_back(std::move(*op));
    std::string session_id;
    std::optional<limit_step> limit;
    step_result step = rule.read({text, project, store, sessions, session_id, limits, limit});
    if (limit) into.limits.emplace(into.ops.size() - 1, std::move(*limit));
    if (!session_id.empty()) into.session_ids[into.ops.size() - 1] = std::move(session_id);
    return step;
  }
  std::string known;
  for (const op_rule& rule : op_rules) known.append(known.empty() ? "" : ", ").append(rule.op);
  return invalid("op", fmt::format("op must be one of {}.", known));
}

using body_rule = member_rule<commit_request>;
constexpr std::array body_rules{
    body_rule{"steps"},
    body_rule{"durability",
              [](const json::value& from, commit_request& into, const field_path& field) {
                return store_in(into.level, read_durability(from, field));
              }},
};

struct outcome_writer {
  std::string& out;
  const engine::step* step;
  std::string_view session_id;
  /// Null for steps that are not about limits.
  const limit_step* limits;

  void operator()(const engine::job_enqueued& done) const {
    append_open_job(out, done.made);
    if (done.duplicate) out += R"(,"duplicate":true)";
    if (done.replaced) out += R"(,"replaced":true)";
    out += '}';
  }
  void operator()(const engine::job_changed& done) const { append_changed(out, done); }
  void operator()(const engine::lease_extended& done) const { append_extended(out, done); }
  void operator()(const engine::lock_answer& done) const {
    if (done.granted) return append_lock(out, done.lock, {});
    out += '{';
    append_lock_members(out, done.lock);
    out += R"(,"held":false})";
  }
  void operator()(const engine::progress_changed& done) const {
    append_progress_entry(out, done.entry);
  }
  void operator()(const engine::agent_changed& done) const { append_agent(out, done.what); }
  void operator()(const engine::deliveries_settled& done) const { append_settled(out, done); }
  void operator()(const engine::session_changed& done) const {
    const bool begun = step != nullptr && std::holds_alternative<engine::create_session>(*step);
    append_session(out, done.session, begun ? session_id : std::string_view{});
    if (!begun) return;
    out.pop_back();
    fmt::format_to(std::back_inserter(out), R"(,"ended":{}}})", done.ended);
  }
  void operator()(const engine::cache_stored& done) const {
    const auto* put = step == nullptr ? nullptr : std::get_if<engine::put_cache>(step);
    append_cache_stored(out, put == nullptr ? std::string_view{} : put->at.key, done);
  }
  void operator()(const engine::cache_dropped& done) const {
    const bool by_tag = step != nullptr && std::holds_alternative<engine::invalidate_tag>(*step);
    fmt::format_to(std::back_inserter(out), R"({{"{}":{}}})",
                   by_tag ? "invalidated_tags" : "deleted", by_tag ? 1 : done.count);
  }
  void operator()(const engine::limits_checked&) const {
    out += limits == nullptr ? std::string_view{"{}"} : std::string_view{limits->answer};
  }
  void operator()(const auto&) const { out += "{}"; }
};

}  // namespace

error of_step(error why, std::size_t index) {
  const std::string place = fmt::format("steps.{}", index);
  why.field = why.field.empty() ? place : fmt::format("{}.{}", place, why.field);
  why.detail = fmt::format("{}: {}", why.field, why.detail);
  return why;
}

result<commit_request> decode_commit(std::string_view body, const std::string& project,
                                     const engine::store_traits& store,
                                     const session_settings& sessions,
                                     const limit_settings& limits) {
  const std::string_view text = body.empty() ? std::string_view{"{}"} : body;
  const result<json::value> parsed = parse_json(text);
  if (!parsed) return std::unexpected(parsed.error());
  commit_request out;
  result<void> read = read_members<commit_request>(*parsed, body_rules, out, {});
  if (!read) return std::unexpected(std::move(read.error()));
  const json::value* steps = parsed->get_object().if_contains("steps");
  const json::array* array = steps == nullptr ? nullptr : steps->if_array();
  if (array == nullptr) return invalid("steps", "steps must be an array of steps.");
  if (array->size() > engine::steps_max) {
    return fail(errc::too_large, "too_many_steps",
                fmt::format("steps has {} entries: at most {} are allowed.", array->size(),
                            engine::steps_max),
                "steps");
  }
  std::optional<error> why;
  std::size_t index = 0;
  for_each_raw_element(raw_member(text, "steps").value_or("[]"), [&](std::string_view raw) {
    if (why) return;
    step_result step = read_step(array->at(index), raw, out, project, store, sessions, limits);
    if (step) {
      out.steps.push_back(std::move(*step));
    } else {
      why = of_step(std::move(step.error()), index);
    }
    ++index;
  });
  if (why) return std::unexpected(std::move(*why));
  return out;
}

void append_results(std::string& out, const commit_request& asked,
                    const std::vector<engine::outcome>& outcomes) {
  out += R"({"results":[)";
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    if (i > 0) out += ',';
    out += R"({"op":)";
    append_json_string(out, i < asked.ops.size() ? asked.ops[i] : "");
    out += R"(,"result":)";
    const auto* published = std::get_if<engine::event_published>(&outcomes[i]);
    const auto* step =
        i < asked.steps.size() ? std::get_if<engine::publish_event>(&asked.steps[i]) : nullptr;
    if (published != nullptr && step != nullptr) {
      append_published(out, step->stream, *published);
      out += '}';
    } else {
      const auto id = asked.session_ids.find(i);
      const auto limits = asked.limits.find(i);
      std::visit(outcome_writer{.out = out,
                                .step = i < asked.steps.size() ? &asked.steps[i] : nullptr,
                                .session_id =
                                    id == asked.session_ids.end() ? std::string_view{} : id->second,
                                .limits = limits == asked.limits.end() ? nullptr : &limits->second},
                 outcomes[i]);
    }
    out += '}';
  }
  out += ']';
}

}  // namespace millrace::http
