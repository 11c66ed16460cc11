#include "assets.hpp"
#include "http_fixture.hpp"
#include "routes.hpp"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>

// The document and the server say the same, and every route is walked: once well, once not.
namespace millrace::http {
namespace {

using testing::reply;
using testing::test_server;

const boost::json::object& document() {
  static const boost::json::value parsed =
      boost::json::parse({assets::openapi.data(), assets::openapi.size()});
  return parsed.get_object();
}

std::string upper(std::string_view text) {
  std::string out{text};
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::toupper(c); });
  return out;
}

TEST(OpenApi, HasExactlyTheRoutesOfTheServer) {
  std::set<std::string> documented;
  for (const auto& path : document().at("paths").as_object()) {
    for (const auto& verb : path.value().as_object()) {
      documented.insert(upper(std::string_view{verb.key()}) + " " + std::string{path.key()});
    }
  }
  std::set<std::string> served;
  for (const route& one : all_routes()) {
    served.insert(fmt::format("{} {}", to_string(one.verb), one.pattern));
  }
  EXPECT_EQ(documented, served);
}

TEST(OpenApi, DescribesEachOperation) {
  std::set<std::string> ids;
  for (const auto& path : document().at("paths").as_object()) {
    for (const auto& verb : path.value().as_object()) {
      const auto& operation = verb.value().as_object();
      const std::string id{operation.at("operationId").as_string().c_str()};
      EXPECT_TRUE(ids.insert(id).second) << id;
      EXPECT_FALSE(operation.at("summary").as_string().empty());
      const auto& responses = operation.at("responses").as_object();
      EXPECT_TRUE(responses.contains("default")) << id;
      EXPECT_GE(responses.size(), 2U) << id;
    }
  }
}

void each_reference(const boost::json::value& in,
                    const std::function<void(std::string_view)>& take) {
  if (const auto* object = in.if_object()) {
    for (const auto& member : *object) {
      if (member.key() == "$ref") {
        take(member.value().as_string());
      } else {
        each_reference(member.value(), take);
      }
    }
  } else if (const auto* array = in.if_array()) {
    for (const auto& item : *array) each_reference(item, take);
  }
}

TEST(OpenApi, RefersOnlyToWhatThereIs) {
  const boost::json::value whole = document();
  std::size_t count = 0;
  each_reference(whole, [&](std::string_view reference) {
    ++count;
    ASSERT_TRUE(reference.starts_with("#/"));
    boost::system::error_code code;
    (void)whole.find_pointer({reference.data() + 1, reference.size() - 1}, code);
    EXPECT_FALSE(code) << reference;
  });
  EXPECT_GT(count, 50U);
}

// The members of an answer are those the document names, and all that it requires are there.
void expect_shape(const boost::json::value& answer, std::string_view schema) {
  const auto& wanted = document().at("components").at("schemas").at(schema).as_object();
  const auto& members = wanted.at("properties").as_object();
  for (const auto& member : answer.as_object()) {
    EXPECT_TRUE(members.contains(member.key())) << schema << " " << member.key();
  }
  if (!wanted.contains("required")) return;
  for (const auto& name : wanted.at("required").as_array()) {
    EXPECT_TRUE(answer.as_object().contains(name.as_string())) << schema << " " << name;
  }
}

TEST(OpenApi, NamesTheMembersOfAnswersOfTheCache) {
  const test_server server;
  (void)server.ask("PUT /v1/cache/k", "1");
  expect_shape(server.ask("PUT /v1/cache/k", "1").json(), "CacheStored");
  expect_shape(server.ask("POST /v1/cache/k:claim").json(), "CacheClaim");
  expect_shape(server.ask("POST /v1/cache/none:claim").json(), "CacheClaim");
  expect_shape(server.ask("POST /v1/cache:mget", R"({"keys":["k"]})").json(), "CacheItems");
  expect_shape(server.ask("GET /v1/cache").json(), "CacheKeys");
  expect_shape(server.ask("GET /admin/cache/stats").json(), "CacheStats");
  expect_shape(server.ask("GET /admin/cache/families").json(), "CacheFamilies");
  expect_shape(server.ask("GET /health/cache").json(), "CacheHealth");
  expect_shape(server.ask("DELETE /admin/cache/clear").json(), "CacheDeleted");
}

TEST(OpenApi, NamesTheMembersOfAnswers) {
  const test_server server;
  const reply made = server.ask("POST /v1/queues/document/jobs",
                                R"({"unique":"u","group":"g","lease":9,"timeout":60})");
  expect_shape(made.json(), "Job");
  expect_shape(server.ask("GET /v1/queues/document").json(), "Queue");
  expect_shape(server.ask("PUT /v1/cron/c", R"({"queue":"q","schedule":"@daily"})").json(), "Cron");
  expect_shape(server.ask("GET /v1/jobs/x").json(), "Problem");
  expect_shape(server.ask("POST /v1/jobs/" + made.text("id") + ":cancel").json(), "JobChanged");
  expect_shape(server.ask("POST /v1/events/f", R"({"type":"t"})").json(), "Published");
  const auto page = server.ask("GET /v1/events/f").json();
  expect_shape(page, "EventPage");
  expect_shape(page.at("events").at(0), "Event");
  expect_shape(server.ask("GET /v1/events/f?order=oldest&cursor=1.1.1").json().at("gap"), "Gap");
  expect_shape(server.ask("PUT /v1/events/f", R"({"count":5})").json(), "Stream");
  expect_shape(server.ask("PUT /v1/progress/c", R"({"total_steps":2,"step":1})").json(),
               "RequestProgress");
  expect_shape(server.ask("PUT /v1/flows/f/agents/a").json(), "Agent");
  expect_shape(server.ask("PUT /v1/connections/1").json(), "Connection");
  expect_shape(
      server.ask("POST /v1/commit", R"({"steps":[{"op":"event.publish","stream":"f","type":"t"}]})")
          .json(),
      "Committed");
}

TEST(OpenApi, NamesTheMembersOfAnswersAboutLimits) {
  const test_server server;
  const reply limits =
      server.ask("POST /v1/limits:check",
                 R"({"checks":[{"scope":"user","id":"1","limit":1,"window":1,"dry_run":true}]})");
  expect_shape(limits.json(), "Limits");
  expect_shape(limits.json().at("limits").at(0), "LimitState");
  expect_shape(server.ask("POST /v1/limits:block", R"({"scope":"ip","id":"1","for":5})").json(),
               "LimitBlocked");
  const std::string permits =
      R"("checks":[{"scope":"ip","id":"2","algorithm":"concurrency","limit":1,"ttl":5}])";
  const auto taken = server.ask("POST /v1/limits:check", "{" + permits + "}").json();
  expect_shape(taken, "Limits");
  expect_shape(server
                   .ask("POST /v1/limits:release", fmt::format(R"({{{},"permit":{}}})", permits,
                                                               taken.at("permit").as_int64()))
                   .json(),
               "Limits");
  const reply refused = server.ask("POST /v1/limits:check",
                                   R"({"checks":[{"scope":"ip","id":"1","limit":1,"window":1}]})");
  expect_shape(refused.json().at("limits").at(0), "LimitState");
  (void)server.ask("POST /v1/limits:check", R"({"policy":"default","user":"1"})");
  const reply stats = server.ask("GET /admin/limits/stats");
  expect_shape(stats.json(), "LimitStats");
  expect_shape(stats.json().at("used").at(0), "LimitConsumer");
  expect_shape(
      server.ask("POST /v1/tokens:consume", R"({"user_id":"1","tokens":5,"limit":9})").json(),
      "Limits");
}

TEST(OpenApi, NamesTheMembersOfAnswersAboutGroupsAndLocks) {
  const test_server server;
  (void)server.ask("POST /v1/events/f", R"({"type":"t"})");
  const std::string groups = "/v1/events/f/groups";
  const auto read = server.ask("POST /v1/events/f:read", R"({"group":"g","consumer":"c"})").json();
  expect_shape(read, "GroupEvents");
  expect_shape(read.at("events").at(0), "DeliveredEvent");
  expect_shape(server.ask("GET " + groups + "/g").json(), "PendingEvents");
  expect_shape(
      server.ask("POST /v1/events/f:ack", R"({"group":"g","consumer":"c","offsets":[9]})").json(),
      "Settled");
  expect_shape(server.ask("PUT " + groups + "/h").json(), "Group");
  expect_shape(server.ask("GET " + groups).json(), "Groups");
  expect_shape(server.ask("POST /v1/locks/r").json(), "Lock");
  expect_shape(server.ask("GET /v1/locks/r").json(), "Lock");
}

// One value of a member, set into a body by its path, and whether the document admits it.
struct probe {
  std::string path;
  boost::json::value value;
  bool sound;
};

const boost::json::object& resolved(const boost::json::object& schema) {
  const auto* reference = schema.if_contains("$ref");
  if (reference == nullptr) return schema;
  const std::string name{reference->as_string().c_str()};
  return document().at("components").at("schemas").at(name.substr(name.rfind('/') + 1)).as_object();
}

bool is_number(const boost::json::object& schema) {
  const auto* type = schema.if_contains("type");
  const auto names_number = [](const boost::json::value& word) {
    return word.as_string() == "integer" || word.as_string() == "number";
  };
  if (type == nullptr) return false;
  return type->is_array() ? names_number(type->as_array().front()) : names_number(*type);
}

// The edges of every number and text below a schema.
void collect_probes(const boost::json::object& unresolved, const std::string& path,
                    std::vector<probe>& into) {
  const boost::json::object& schema = resolved(unresolved);
  if (const auto* ways = schema.if_contains("oneOf")) {
    for (const auto& way : ways->as_array()) collect_probes(way.as_object(), path, into);
    return;
  }
  if (const auto* members = schema.if_contains("properties")) {
    for (const auto& member : members->as_object()) {
      const std::string name{member.key()};
      collect_probes(member.value().as_object(), path.empty() ? name : path + "." + name, into);
    }
    return;
  }
  if (is_number(schema)) {
    ASSERT_TRUE(schema.contains("minimum") && schema.contains("maximum")) << path;
    const auto& low = schema.at("minimum");
    const auto& high = schema.at("maximum");
    into.push_back({path, low, true});
    into.push_back({path, high, true});
    into.push_back({path, boost::json::value(high.as_int64() + 1), false});
    const std::int64_t below = low.is_double() ? 0 : low.as_int64() - 1;
    into.push_back({path, boost::json::value(below), false});
  } else if (const auto* most = schema.if_contains("maxLength")) {
    const auto longest = static_cast<std::size_t>(most->as_int64());
    into.push_back({path, boost::json::value(std::string(longest, 'x')), true});
    into.push_back({path, boost::json::value(std::string(longest + 1, 'x')), false});
  }
}

boost::json::value body_with(const probe& one) {
  boost::json::value body = boost::json::object{};
  boost::json::value* at = &body;
  std::string_view path = one.path;
  for (std::size_t dot = path.find('.'); dot != path.npos; dot = path.find('.')) {
    at = &(at->as_object()[path.substr(0, dot)] = boost::json::object{});
    path.remove_prefix(dot + 1);
  }
  at->as_object()[path] = one.value;
  return body;
}

// What the document promises of each member, the server keeps, at both edges and beyond them.
void expect_edges_kept(std::string_view schema, std::string_view line, std::string_view prefix,
                       std::string_view around = "{}") {
  const test_server server;
  std::vector<probe> probes;
  collect_probes(document().at("components").at("schemas").at(schema).as_object(), "", probes);
  EXPECT_GT(probes.size(), 10U);
  for (const probe& one : probes) {
    std::string body{around};
    const std::string inner = boost::json::serialize(body_with(one));
    const std::size_t hole = body.find("{}");
    body.replace(hole, 2, inner);
    const reply answer = server.ask(line, body);
    if (one.sound) {
      EXPECT_LT(answer.status, 300U) << one.path << ' ' << answer.body;
      continue;
    }
    EXPECT_GE(answer.status, 400U) << one.path << ' ' << inner.substr(0, 80);
    // A short form of a member is told by its long name.
    const std::string field = answer.text("field");
    EXPECT_TRUE(field.starts_with(std::string{prefix} + one.path))
        << one.path << ' ' << answer.body;
    EXPECT_NE(answer.text("detail").find(field), std::string::npos) << answer.body;
  }
}

TEST(OpenApi, SaysTheRangesOfJobs) {
  expect_edges_kept("NewJob", "POST /v1/queues/document/jobs", "");
}

TEST(OpenApi, SaysTheRangesOfQueueSettings) {
  expect_edges_kept("QueueSettings", "PUT /v1/queues/document", "");
}

TEST(OpenApi, SaysTheRangesOfRecurringJobs) {
  expect_edges_kept("CronJob", "PUT /v1/cron/c", "job.",
                    R"({"queue":"q","schedule":"@daily","job":{}})");
}

struct walk {
  std::string method;
  std::string pattern;
  /// The path of a request that goes well, with `{job}`, `{token}` and `{dead}` filled in.
  std::string good_path;
  std::string good_body;
  unsigned good_status;
  std::string bad_path;
  std::string bad_body;
  unsigned bad_status;
};
std::ostream& operator<<(std::ostream& out, const walk& of) {
  return out << of.method << " " << of.pattern;
}

const std::vector<walk> walks{
    {"POST", "/v1/queues/{queue}/jobs", "/v1/queues/document/jobs", "{}", 201,
     "/v1/queues/document/jobs", "[", 400},
    {"GET", "/v1/queues/{queue}/jobs", "/v1/queues/document/jobs", "", 200, "/v1/queues/no/jobs",
     "", 404},
    {"POST", "/v1/queues/{queue}:reserve", "/v1/queues/document:reserve", "{}", 200,
     "/v1/queues/document:reserve", R"({"max":-1})", 422},
    {"POST", "/v1/queues:reserve", "/v1/queues:reserve", R"({"queues":["document"]})", 200,
     "/v1/queues:reserve", R"({"queues":[]})", 422},
    {"POST", "/v1/jobs/{id}:ack", "/v1/jobs/{job}:ack", R"({"token":{token}})", 200,
     "/v1/jobs/{job}:ack", R"({"token":1})", 409},
    {"POST", "/v1/jobs/{id}:fail", "/v1/jobs/{job}:fail", R"({"token":{token},"error":"e"})", 200,
     "/v1/jobs/{job}:fail", R"({"token":1})", 409},
    {"POST", "/v1/jobs/{id}:extend", "/v1/jobs/{job}:extend", R"({"token":{token}})", 200,
     "/v1/jobs/{job}:extend", R"({"token":1})", 409},
    {"POST", "/v1/jobs/{id}:snooze", "/v1/jobs/{job}:snooze", R"({"token":{token}})", 200,
     "/v1/jobs/{job}:snooze", R"({"token":1})", 409},
    {"POST", "/v1/jobs/{id}:cancel", "/v1/jobs/{job}:cancel", "{}", 200, "/v1/jobs/{dead}:cancel",
     "{}", 409},
    {"POST", "/v1/jobs:ack", "/v1/jobs:ack", R"({"jobs":[{"id":"{job}","token":{token}}]})", 200,
     "/v1/jobs:ack", R"({"jobs":{}})", 422},
    {"POST", "/v1/jobs:extend", "/v1/jobs:extend", R"({"jobs":[{"id":"{job}","token":{token}}]})",
     200, "/v1/jobs:extend", R"({"job":[]})", 422},
    {"PUT", "/v1/jobs/{id}/progress", "/v1/jobs/{job}/progress", R"({"token":{token},"value":1})",
     200, "/v1/jobs/{job}/progress", R"({"token":1,"value":1})", 409},
    {"GET", "/v1/jobs/{id}/events", "/v1/jobs/{dead}/events", "", 200,
     "/v1/jobs/{job}/events?from=x", "", 400},
    {"GET", "/v1/jobs/{id}", "/v1/jobs/{job}?log=1", "", 200, "/v1/jobs/no", "", 404},
    {"DELETE", "/v1/jobs/{id}", "/v1/jobs/{dead}", "", 204, "/v1/jobs/{job}", "", 409},
    {"GET", "/v1/queues", "/v1/queues", "", 200, "/v1/queues?limit=0", "", 422},
    {"GET", "/v1/queues/{queue}", "/v1/queues/document", "", 200, "/v1/queues/no", "", 404},
    {"PUT", "/v1/queues/{queue}", "/v1/queues/document", R"({"concurrency":1})", 200,
     "/v1/queues/document", R"({"concurrency":[]})", 422},
    {"GET", "/v1/queues/{queue}/retries", "/v1/queues/document/retries", "", 200,
     "/v1/queues/no/retries", "", 404},
    {"POST", "/v1/queues/{queue}:pause", "/v1/queues/document:pause", "", 200,
     "/v1/queues/a%20b:pause", "", 422},
    {"POST", "/v1/queues/{queue}:resume", "/v1/queues/document:resume", "{}", 200,
     "/v1/queues/document:resume", R"({"x":1})", 422},
    {"POST", "/v1/queues/{queue}:drain", "/v1/queues/document:drain", "", 200,
     "/v1/queues/document:drain?x=1", "", 422},
    {"POST", "/v1/queues/{queue}:purge", "/v1/queues/document:purge", "{}", 200,
     "/v1/queues/no:purge", "{}", 404},
    {"GET", "/v1/cron", "/v1/cron", "", 200, "/v1/cron?limit=x", "", 422},
    {"GET", "/v1/cron/{name}", "/v1/cron/nightly", "", 200, "/v1/cron/no", "", 404},
    {"PUT", "/v1/cron/{name}", "/v1/cron/hourly", R"({"queue":"q","schedule":"@hourly"})", 201,
     "/v1/cron/hourly", R"({"queue":"q","schedule":"hourly"})", 422},
    {"POST", "/v1/cron/{name}:pause", "/v1/cron/nightly:pause", "", 200, "/v1/cron/no:pause", "",
     404},
    {"POST", "/v1/cron/{name}:resume", "/v1/cron/nightly:resume", "{}", 200,
     "/v1/cron/nightly:resume", R"({"x":1})", 422},
    {"DELETE", "/v1/cron/{name}", "/v1/cron/nightly", "", 204, "/v1/cron/no", "", 404},
    {"GET", "/admin/dlq/stats", "/admin/dlq/stats", "", 200, "/admin/dlq/stats?x=1", "", 422},
    {"GET", "/admin/dlq/{queue}", "/admin/dlq/document", "", 200, "/admin/dlq/no", "", 404},
    {"DELETE", "/admin/dlq/{queue}", "/admin/dlq/document", "", 200, "/admin/dlq/no", "", 404},
    {"POST", "/admin/dlq/{queue}/requeue/{index}", "/admin/dlq/document/requeue/0", "", 200,
     "/admin/dlq/document/requeue/9", "", 404},
    {"POST", "/admin/dlq/{queue}:requeue", "/admin/dlq/document:requeue", R"({"all":true})", 200,
     "/admin/dlq/document:requeue", "{}", 422},
    {"POST", "/v1/cache:mget", "/v1/cache:mget", R"({"keys":["k"]})", 200, "/v1/cache:mget", "{}",
     422},
    {"POST", "/v1/cache:mset", "/v1/cache:mset", R"({"items":[{"key":"a","value":1}]})", 200,
     "/v1/cache:mset", R"({"items":[]})", 422},
    {"POST", "/v1/cache:mdelete", "/v1/cache:mdelete", R"({"keys":["k"]})", 200,
     "/v1/cache:mdelete", R"({"keys":[1]})", 422},
    {"GET", "/v1/cache", "/v1/cache?pattern=k*", "", 200, "/v1/cache?cursor=x", "", 400},
    {"DELETE", "/v1/cache", "/v1/cache?tag=t", "", 200, "/v1/cache", "", 422},
    {"POST", "/v1/cache/{key}:claim", "/v1/cache/none:claim", "{}", 200, "/v1/cache/none:claim",
     R"({"lease":0})", 422},
    {"POST", "/v1/cache/{key}:renew", "/v1/cache/claimed:renew", R"({"lease":"{lease}"})", 200,
     "/v1/cache/claimed:renew", R"({"lease":"1"})", 409},
    {"POST", "/v1/cache/{key}:release", "/v1/cache/claimed:release", R"({"lease":"{lease}"})", 204,
     "/v1/cache/claimed:release", "{}", 422},
    {"GET", "/v1/cache/{key}", "/v1/cache/k", "", 200, "/v1/cache/none", "", 404},
    {"PUT", "/v1/cache/{key}", "/v1/cache/l?ttl=5", "v", 200, "/v1/cache/l?ttl=0", "v", 422},
    {"DELETE", "/v1/cache/{key}", "/v1/cache/k", "", 200, "/v1/cache/k?x=1", "", 422},
    {"GET", "/admin/cache/stats", "/admin/cache/stats", "", 200, "/admin/cache/stats?x=1", "", 422},
    {"GET", "/admin/cache/families", "/admin/cache/families", "", 200, "/admin/cache/families?x=1",
     "", 422},
    {"DELETE", "/admin/cache/clear", "/admin/cache/clear", "", 200, "/admin/cache/clear?x=1", "",
     422},
    {"GET", "/health/cache", "/health/cache", "", 200, "/health/cache?x=1", "", 422},
    {"GET", "/admin/backup", "/admin/backup", "", 200, "/admin/backup?x=1", "", 422},
    {"GET", "/health", "/health", "", 200, "/health?x=1", "", 422},
    {"GET", "/health/live", "/health/live", "", 200, "/health/live?x=1", "", 422},
    {"GET", "/health/ready", "/health/ready", "", 200, "/health/ready?x=1", "", 422},
    {"GET", "/metrics", "/metrics", "", 200, "/metrics?x=1", "", 422},
    {"GET", "/openapi.json", "/openapi.json", "", 200, "/openapi.json?x=1", "", 422},
    {"GET", "/", "/", "", 200, "/?x=1", "", 422},
    {"POST", "/v1/limits:check", "/v1/limits:check", R"({"policy":"default","user":"42"})", 200,
     "/v1/limits:check", R"({"policy":"default"})", 422},
    {"POST", "/v1/limits:refund", "/v1/limits:refund", R"({"policy":"default","user":42})", 200,
     "/v1/limits:refund", R"({"policy":"none"})", 404},
    {"POST", "/v1/limits:settle", "/v1/limits:settle",
     R"({"policy":"default","user":"42","reserved":5,"used":2})", 200, "/v1/limits:settle",
     R"({"policy":"default","user":"42","reserved":5})", 422},
    {"POST", "/v1/tokens:consume", "/v1/tokens:consume",
     R"({"user_id":"42","tokens":5,"limit":100})", 200, "/v1/tokens:consume", R"({"tokens":5})",
     422},
    {"GET", "/admin/limits/stats", "/admin/limits/stats", "", 200, "/admin/limits/stats?x=1", "",
     422},
    {"POST", "/v1/limits:renew", "/v1/limits:renew",
     R"({"checks":[{"scope":"ip","id":"2","algorithm":"concurrency","limit":1,"ttl":5}],
         "permit":{permit}})",
     200, "/v1/limits:renew", R"({"policy":"default","user":"42","permit":1})", 422},
    {"POST", "/v1/limits:release", "/v1/limits:release",
     R"({"checks":[{"scope":"ip","id":"2","algorithm":"concurrency","limit":1,"ttl":5}],
         "permit":{permit}})",
     200, "/v1/limits:release", R"({"policy":"default","user":"42","permit":1})", 422},
    {"POST", "/v1/limits:block", "/v1/limits:block", R"({"scope":"ip","id":"1","for":5})", 200,
     "/v1/limits:block", R"({"scope":"ip","id":"1"})", 422},
    {"GET", "/v1/limits/blocks", "/v1/limits/blocks?scope=ip", "", 200,
     "/v1/limits/blocks?cursor=x", "", 400},
    {"POST", "/v1/limits:unblock", "/v1/limits:unblock", R"({"scope":"ip","id":"1"})", 200,
     "/v1/limits:unblock", R"({"scope":"ip"})", 422},
    {"POST", "/admin/limits:reset", "/admin/limits:reset", R"({"policy":"default","user":"42"})",
     200, "/admin/limits:reset", R"({"user":"42"})", 422},
    {"POST", "/v1/events/{stream}", "/v1/events/f", R"({"type":"t"})", 201, "/v1/events/f", "{}",
     422},
    {"GET", "/v1/events/{stream}", "/v1/events/f", "", 200, "/v1/events/f?cursor=x", "", 400},
    {"PUT", "/v1/events/{stream}", "/v1/events/f", R"({"count":5})", 200, "/v1/events/f",
     R"({"count":0})", 422},
    {"GET", "/v1/events/{stream}/live", "/v1/events/f/live?from=earliest", "", 200,
     "/v1/events/f/live?from=x", "", 400},
    {"GET", "/v1/events:live", "/v1/events:live?stream=f&from=earliest", "", 200,
     "/v1/events:live?stream=f&from=x", "", 400},
    {"POST", "/v1/locks/{resource}", "/v1/locks/r", R"({"ttl":5})", 201, "/v1/locks/held", "{}",
     409},
    {"PUT", "/v1/locks/{resource}", "/v1/locks/held?token={lock}", "{}", 200,
     "/v1/locks/held?token=x", "{}", 409},
    {"DELETE", "/v1/locks/{resource}", "/v1/locks/held?token={lock}", "", 204,
     "/v1/locks/held?token=x", "", 409},
    {"GET", "/v1/locks/{resource}", "/v1/locks/held", "", 200, "/v1/locks/held?x=1", "", 422},
    {"PUT", "/v1/progress/{correlation_id}", "/v1/progress/c", R"({"step":1})", 200,
     "/v1/progress/no", R"({"step":1})", 404},
    {"GET", "/v1/progress/{correlation_id}", "/v1/progress/c", "", 200, "/v1/progress/no", "", 404},
    {"DELETE", "/v1/progress/{correlation_id}", "/v1/progress/c", "", 204, "/v1/progress/no", "",
     404},
    {"GET", "/v1/progress/{correlation_id}/events", "/v1/progress/ended/events", "", 200,
     "/v1/progress/c/events?x=1", "", 422},
    {"GET", "/v1/flows/{flow_id}/agents/events", "/v1/flows/f/agents/events", "", 200,
     "/v1/flows/f/agents/events?x=1", "", 422},
    {"PUT", "/v1/flows/{flow_id}/agents/{agent}", "/v1/flows/f/agents/a", R"({"progress":1})", 200,
     "/v1/flows/f/agents/a", R"({"progress":2})", 422},
    {"GET", "/v1/flows/{flow_id}/agents", "/v1/flows/f/agents", "", 200, "/v1/flows/f/agents?x=1",
     "", 422},
    {"GET", "/v1/connections", "/v1/connections", "", 200, "/v1/connections?limit=0", "", 422},
    {"PUT", "/v1/connections/{id}", "/v1/connections/1", "{}", 200, "/v1/connections/1",
     R"({"ttl":0})", 422},
    {"DELETE", "/v1/connections/{id}", "/v1/connections/here", "", 204, "/v1/connections/no", "",
     404},
    {"POST", "/v1/commit", "/v1/commit",
     R"({"steps":[{"op":"event.publish","stream":"f","type":"t"}]})", 200, "/v1/commit", "{}", 422},
    {"POST", "/v1/events/{stream}:read", "/v1/events/f:read", R"({"group":"g","consumer":"c"})",
     200, "/v1/events/f:read", R"({"group":"g"})", 422},
    {"POST", "/v1/events/{stream}:ack", "/v1/events/grouped:ack",
     R"({"group":"g","consumer":"c","offsets":[1]})", 200, "/v1/events/grouped:ack",
     R"({"group":"g","consumer":"d","offsets":[1],"all":true})", 409},
    {"POST", "/v1/events/{stream}:release", "/v1/events/grouped:release",
     R"({"group":"g","consumer":"c","offsets":[1]})", 200, "/v1/events/grouped:release",
     R"({"group":"no","consumer":"c","offsets":[1]})", 404},
    {"POST", "/v1/events/{stream}:extend", "/v1/events/grouped:extend",
     R"({"group":"g","consumer":"c","offsets":[1],"lease":5})", 200, "/v1/events/grouped:extend",
     R"({"group":"g","consumer":"c","offsets":[]})", 422},
    {"GET", "/v1/events/{stream}/groups", "/v1/events/grouped/groups", "", 200,
     "/v1/events/grouped/groups?x=1", "", 422},
    {"GET", "/v1/events/{stream}/groups/{group}", "/v1/events/grouped/groups/g", "", 200,
     "/v1/events/grouped/groups/no", "", 404},
    {"PUT", "/v1/events/{stream}/groups/{group}", "/v1/events/grouped/groups/h",
     R"({"from":"latest"})", 201, "/v1/events/grouped/groups/h", R"({"from":"x"})", 400},
    {"DELETE", "/v1/events/{stream}/groups/{group}", "/v1/events/grouped/groups/g", "", 204,
     "/v1/events/grouped/groups/no", "", 404},
    {"POST", "/v1/sessions", "/v1/sessions", R"({"user":"ann"})", 201, "/v1/sessions",
     R"({"idle":0})", 422},
    {"GET", "/v1/sessions", "/v1/sessions", "", 200, "/v1/sessions?cursor=x", "", 400},
    {"GET", "/v1/sessions/{id}", "/v1/sessions/{session}", "", 200, "/v1/sessions/no", "", 404},
    {"PUT", "/v1/sessions/{id}", "/v1/sessions/{session}", R"({"data":{"a":1}})", 200,
     "/v1/sessions/{session}", "{}", 422},
    {"PATCH", "/v1/sessions/{id}", "/v1/sessions/{session}", R"({"data":{"a":1}})", 200,
     "/v1/sessions/no", R"({"data":{"a":1}})", 404},
    {"DELETE", "/v1/sessions/{id}", "/v1/sessions/{session}", "", 204, "/v1/sessions/no", "", 404},
    {"POST", "/v1/sessions/{id}:rotate", "/v1/sessions/{session}:rotate", R"({"grace":1})", 200,
     "/v1/sessions/{session}:rotate", R"({"grace":301})", 422},
    {"GET", "/v1/users/{id}/sessions", "/v1/users/ann/sessions", "", 200,
     "/v1/users/ann/sessions?limit=0", "", 422},
    {"DELETE", "/v1/users/{id}/sessions", "/v1/users/ann/sessions", "", 200,
     "/v1/users/ann/sessions?ref=1&except=2", "", 422},
    {"GET", "/v1/correlations/{correlation_id}", "/v1/correlations/c", "", 200,
     "/v1/correlations/c?cursor=x", "", 400},
};

std::string filled(std::string text, const std::map<std::string, std::string>& with) {
  for (const auto& [name, value] : with) {
    const std::size_t at = text.find(name);
    if (at != std::string::npos) text.replace(at, name.size(), value);
  }
  return text;
}

// Streams that nothing ends but their client.
bool is_endless(const walk& of) {
  return of.pattern.ends_with("/live") || of.pattern.ends_with(":live") ||
         of.pattern.ends_with("/agents/events");
}

reply head_of(const test_server& server, const std::string& line) {
  testing::raw_client client = server.connect();
  client.send(testing::make_request(line));
  return client.receive_head().value_or(reply{});
}

class EveryRoute : public ::testing::TestWithParam<walk> {};

TEST_P(EveryRoute, IsWalkedWellAndNot) {
  test_server server({.backup = [](const std::filesystem::path& path) -> result<void> {
    std::FILE* file = std::fopen(path.c_str(), "wb");
    std::fputs("the store", file);
    std::fclose(file);
    return {};
  }});
  (void)server.ask("PUT /v1/cron/nightly", R"({"queue":"q","schedule":"@daily"})");
  (void)server.ask("PUT /v1/cache/k", "1");
  (void)server.ask("POST /v1/queues/document/jobs", "[{},{}]");
  const auto leased = server.ask("POST /v1/queues/document:reserve", R"({"max":2})").json();
  const auto& jobs = leased.at("jobs").as_array();
  std::map<std::string, std::string> with{
      {"{job}", jobs[0].at("id").as_string().c_str()},
      {"{token}", std::to_string(jobs[0].at("token").as_int64())},
      {"{dead}", jobs[1].at("id").as_string().c_str()}};
  (void)server.ask("POST /v1/jobs/" + with["{dead}"] + ":fail",
                   fmt::format(R"({{"token":{},"error":"e","permanent":true}})",
                               jobs[1].at("token").as_int64()));

  with["{lock}"] = server.ask("POST /v1/locks/held", R"({"owner":"me"})").text("token");
  with["{lease}"] = server.ask("POST /v1/cache/claimed:claim").text("lease");
  with["{session}"] = server.ask("POST /v1/sessions", R"({"user":"ann"})").text("id");
  const auto permit = server.ask("POST /v1/limits:check", R"({"checks":[
                 {"scope":"ip","id":"2","algorithm":"concurrency","limit":1,"ttl":5}]})");
  with["{permit}"] = std::to_string(permit.json().at("permit").as_int64());
  (void)server.ask("POST /v1/events/grouped", R"({"type":"t"})");
  (void)server.ask("POST /v1/events/grouped:read", R"({"group":"g","consumer":"c"})");
  (void)server.ask("PUT /v1/progress/c", R"({"total_steps":3})");
  (void)server.ask("PUT /v1/progress/ended", R"({"total_steps":1,"status":"completed"})");
  (void)server.ask("PUT /v1/connections/here", "{}");

  const walk& one = GetParam();
  const reply bad =
      server.ask(one.method + " " + filled(one.bad_path, with), filled(one.bad_body, with));
  EXPECT_EQ(bad.status, one.bad_status) << bad.body;
  EXPECT_EQ(bad.header("content-type"), "application/problem+json");
  const std::string line = one.method + " " + filled(one.good_path, with);
  const reply good =
      is_endless(one) ? head_of(server, line) : server.ask(line, filled(one.good_body, with));
  EXPECT_EQ(good.status, one.good_status) << good.body;
  // A record is made once its answer is on its way; after the end all are there.
  server.stop();
  const auto records = server.records();
  EXPECT_TRUE(std::ranges::any_of(records, [&one](const auto& record) {
    return record.route == one.pattern && record.status == one.good_status;
  }));
}

std::string test_name(const ::testing::TestParamInfo<walk>& info) {
  std::string name = info.param.method;
  for (const char c : info.param.pattern)
    name += std::isalnum(static_cast<unsigned char>(c)) ? c : 'X';
  return name;
}
INSTANTIATE_TEST_SUITE_P(Table, EveryRoute, ::testing::ValuesIn(walks), test_name);

TEST(EveryRoute, StandsInTheTable) {
  std::set<std::string> walked;
  for (const walk& one : walks) walked.insert(one.method + " " + one.pattern);
  std::set<std::string> served;
  for (const route& one : all_routes()) {
    served.insert(fmt::format("{} {}", to_string(one.verb), one.pattern));
  }
  EXPECT_EQ(walked, served);
}

}  // namespace
}  // namespace millrace::http
