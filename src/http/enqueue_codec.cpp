#include "enqueue_codec.hpp"

#include <millrace/base/json.hpp>
#include <millrace/engine/limits.hpp>
#include <millrace/http/job_codec.hpp>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <array>
#include <optional>
#include <utility>

namespace millrace::http {
namespace {

using rule = member_rule<enqueue_request>;
using unique_rule = member_rule<engine::unique_spec>;

result<engine::unique_mode> read_unique_mode(const json::value& from, const field_path& field) {
  using engine::unique_mode;
  result<std::string> word = read_text(from, field);
  if (!word) return std::unexpected(std::move(word.error()));
  if (*word == "reject") return unique_mode::reject;
  if (*word == "replace") return unique_mode::replace;
  if (*word == "debounce") return unique_mode::debounce;
  return invalid(field.text(),
                 field.text() + R"( must be one of "reject", "replace", "debounce".)");
}

constexpr std::array unique_rules{
    unique_rule{"key",
                [](const json::value& from, engine::unique_spec& into, const field_path& field) {
                  return store_in(into.key, read_text(from, field));
                }},
    unique_rule{"mode",
                [](const json::value& from, engine::unique_spec& into, const field_path& field) {
                  return store_in(into.mode, read_unique_mode(from, field));
                }},
};

// `"unique":"key"` is short for `"unique":{"key":"key"}`.
result<engine::unique_spec> read_unique(const json::value& from, const field_path& field) {
  engine::unique_spec unique;
  result<void> read = from.is_string()
                          ? store_in(unique.key, read_text(from, field))
                          : read_members<engine::unique_spec>(from, unique_rules, unique, field);
  if (!read) return std::unexpected(std::move(read.error()));
  return unique;
}

result<std::vector<engine::job_id>> read_job_ids(const json::value& from, const field_path& field) {
  const auto refuse = [&field] {
    return invalid(field.text(), field.text() + " must be an array of job ids.");
  };
  const json::array* items = from.if_array();
  if (items == nullptr) return refuse();
  std::vector<engine::job_id> ids;
  for (const json::value& item : *items) {
    const json::string* text = item.if_string();
    std::optional<engine::job_id> id;
    if (text != nullptr) id = engine::job_id::parse({text->data(), text->size()});
    if (!id) return refuse();
    ids.push_back(std::move(*id));
  }
  return ids;
}

// `data` is read from the raw text, so that its bytes stay as they are.
constexpr std::array rules{
    rule{"data"},
    rule{"type",
         [](const json::value& from, enqueue_request& into, const field_path& field) {
           return store_in(into.spec.type, read_text(from, field));
         }},
    rule{"priority",
         [](const json::value& from, enqueue_request& into, const field_path& field) {
           return store_in(into.spec.priority, read_integer(from, 0, 9, field));
         }},
    rule{"delay",
         [](const json::value& from, enqueue_request& into, const field_path& field) {
           return store_in(into.spec.delay, read_seconds(from, engine::delay_max, field));
         }},
    rule{"run_at",
         [](const json::value& from, enqueue_request& into, const field_path& field) {
           return store_in(into.spec.run_at, read_time(from, field));
         }},
    rule{"max_attempts",
         [](const json::value& from, enqueue_request& into, const field_path& field) {
           return store_in(into.max_attempts, read_integer(from, 1, engine::attempts_max, field));
         }},
    rule{"backoff",
         [](const json::value& from, enqueue_request& into, const field_path& field) {
           return store_in(into.backoff, read_backoff(from, field));
         }},
    rule{"unique",
         [](const json::value& from, enqueue_request& into, const field_path& field) {
           return store_in(into.spec.unique, read_unique(from, field));
         }},
    rule{"labels",
         [](const json::value& from, enqueue_request& into, const field_path& field) {
           return store_in(into.spec.labels, read_labels(from, field));
         }},
    rule{"lease",
         [](const json::value& from, enqueue_request& into, const field_path& field) {
           return store_in(into.spec.lease, read_lease(from, field));
         }},
    rule{"timeout",
         [](const json::value& from, enqueue_request& into, const field_path& field) {
           return store_in(into.spec.timeout, read_seconds(from, engine::timeout_max, field));
         }},
    rule{"correlation_id",
         [](const json::value& from, enqueue_request& into, const field_path& field) {
           return store_in(into.spec.correlation_id, read_text(from, field));
         }},
    rule{"traceparent",
         [](const json::value& from, enqueue_request& into, const field_path& field) {
           return store_in(into.spec.traceparent, read_text(from, field));
         }},
    rule{"group",
         [](const json::value& from, enqueue_request& into, const field_path& field) {
           return store_in(into.spec.group, read_text(from, field));
         }},
    rule{"durability",
         [](const json::value& from, enqueue_request& into, const field_path& field) {
           return store_in(into.level, read_durability(from, field));
         }},
    rule{"depends_on",
         [](const json::value& from, enqueue_request& into, const field_path& field) {
           return store_in(into.spec.depends_on, read_job_ids(from, field));
         }},
    rule{"codec",
         [](const json::value& from, enqueue_request& into, const field_path& field) {
           return store_in(into.spec.codec, read_text(from, field));
         }},
    rule{"key_id",
         [](const json::value& from, enqueue_request& into, const field_path& field) {
           return store_in(into.spec.key_id, read_text(from, field));
         }},
};

}  // namespace

result<enqueue_request> read_enqueue(const json::value& parsed, std::string_view raw,
                                     const engine::queue_key& queue, const field_path& field) {
  enqueue_request request{.queue = queue};
  result<void> read = read_members<enqueue_request>(parsed, rules, request, field);
  if (!read) return std::unexpected(std::move(read.error()));
  const auto within = [&field](error why) {
    std::string path = field_path{&field, why.field}.text();
    // The text begins with the member as well: `job.type has 129 bytes …`.
    if (why.detail.starts_with(why.field)) why.detail.replace(0, why.field.size(), path);
    why.field = std::move(path);
    return std::unexpected(std::move(why));
  };
  result<std::string> data = read_raw(raw, "data");
  if (!data) return within(std::move(data.error()));
  if (!data->empty()) request.spec.data = std::move(*data);
  result<void> checked = check(request);
  if (!checked) return within(std::move(checked.error()));
  return request;
}

result<enqueue_request> decode_enqueue(std::string_view body, const engine::queue_key& queue) {
  result<enqueue_body> decoded = decode_enqueue_body(body, queue);
  if (!decoded) return std::unexpected(std::move(decoded.error()));
  if (decoded->many) return not_an_object({});
  return std::move(decoded->items.front());
}

result<enqueue_body> decode_enqueue_body(std::string_view body, const engine::queue_key& queue) {
  const std::string_view text = body.empty() ? std::string_view{"{}"} : body;
  const result<json::value> parsed = parse_json(text);
  if (!parsed) return std::unexpected(parsed.error());
  enqueue_body decoded;
  const json::array* many = parsed->if_array();
  if (many == nullptr) {
    decoded.items.push_back(read_enqueue(*parsed, text, queue, {}));
    return decoded;
  }
  if (many->size() > engine::steps_max) {
    return invalid("",
                   fmt::format("At most {} jobs can be sent at once; {} were.", engine::steps_max,
                               many->size()),
                   "too_many_items");
  }
  decoded.many = true;
  decoded.items.reserve(many->size());
  for_each_raw_element(text, [&](std::string_view raw) {
    decoded.items.push_back(read_enqueue((*many)[decoded.items.size()], raw, queue, {}));
  });
  return decoded;
}

}  // namespace millrace::http
