#include <millrace/cache/profiles.hpp>

#include <millrace/base/names.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace millrace::cache {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t large = 1024;

// What every profile that knows users says about them.
family_spec user_family() {
  return {.name = "user",
          .pattern = "user:{user_id}",
          .ttl = 900s,
          .tags = {"user:{user_id}"},
          .stale_if_error = 900s,
          .warm = 100};
}

invalidation_rule user_rule() { return {.name = "user", .removes = {"user:{user_id}"}}; }

// A mail assistant: the writing style of its users, which used to be a file of 24 hours.
profile mail() {
  return {.name = "mail",
          .about = "a mail assistant: styles that survive a restart",
          .families = {{.name = "style",
                        .pattern = "style:{user_id}",
                        .ttl = 24h,
                        .compress_above = large,
                        .stale_if_error = 24h}},
          .rules = {{.name = "style", .removes = {"style:{user_id}"}}}};
}

// An idea studio: documents of projects, configurations and answers of agents.
profile studio() {
  return {
      .name = "studio",
      .about = "projects and agents: data, context, configuration, answers",
      .families = {{.name = "project_data",
                    .pattern = "project:{project_id}:data",
                    .ttl = 3600s,
                    .tags = {"project:{project_id}"},
                    .compress_above = large,
                    .stale_if_error = 3600s,
                    .warm = 100},
                   {.name = "project_context",
                    .pattern = "project:{project_id}:context",
                    .ttl = 3600s,
                    .tags = {"project:{project_id}"},
                    .compress_above = large},
                   {.name = "agent_config", .pattern = "agent:{agent_type}:config", .ttl = 3600s},
                   {.name = "agent_response",
                    .pattern = "agent:{agent_type}:response:{request_hash}",
                    .ttl = 600s,
                    .compress_above = large},
                   {.name = "query_result",
                    .pattern = "query:{project_id}:{query_hash}",
                    .ttl = 300s,
                    .tags = {"project:{project_id}"},
                    .compress_above = large,
                    .adaptive = adaptive_ttl{}}},
      .rules = {{.name = "project", .removes = {"#project:{project_id}"}},
                {.name = "agent",
                 .removes = {"agent:{agent_type}:config", "agent:{agent_type}:response:*"}}}};
}

// A migration platform: the state of flows, by how often it is asked for.
profile flows() {
  return {.name = "flows",
          .about = "a migration platform: state and meta of flows",
          .families = {{.name = "flow_state",
                        .pattern = "flow:state:{flow_id}",
                        .ttl = 300s,
                        .compress_above = large,
                        .adaptive = adaptive_ttl{}},
                       {.name = "flow_meta", .pattern = "flow:meta:{flow_id}", .ttl = 3600s}},
          .rules = {{.name = "flow", .removes = {"flow:state:{flow_id}", "flow:meta:{flow_id}"}}}};
}

// A chatbot platform: bots, their sources, users, and the vector queries of each bot.
profile chatbots() {
  return {.name = "chatbots",
          .about = "a chatbot platform: bots, sources, users, vector queries",
          .families = {{.name = "auth",
                        .pattern = "auth:{lookup_hash}",
                        .ttl = 300s,
                        .encrypt = true,
                        .negative_ttl = 5s,
                        .outage = outage_rule::bypass},
                       {.name = "bot",
                        .pattern = "bot:{bot_id}",
                        .ttl = 3600s,
                        .stale_while_revalidate = 60s,
                        .stale_if_error = 3600s,
                        .outage = outage_rule::serve_stale,
                        .outage_for = 60s,
                        .warm = 100},
                       {.name = "bots_of_user", .pattern = "bots:user:{user_id}", .ttl = 3600s},
                       {.name = "source", .pattern = "source:{source_id}", .ttl = 3600s},
                       user_family(),
                       {.name = "vector",
                        .pattern = "vector:{bot_id}:{query_hash}",
                        .ttl = 600s,
                        .jitter = 0.5,
                        .compress_above = large,
                        .stale_while_revalidate = 60s}},
          .rules = {{.name = "bot",
                     .removes = {"bot:{bot_id}", "bots:user:{user_id}", "vector:{bot_id}:*"}},
                    {.name = "source", .removes = {"source:{source_id}", "vector:{bot_id}:*"}},
                    user_rule()}};
}

// A document pipeline: status of jobs, what was read out of documents, searches and graphs.
profile documents() {
  return {
      .name = "documents",
      .about = "a document pipeline: jobs, summaries, transcriptions, searches, graphs",
      .families = {user_family(),
                   {.name = "job_status", .pattern = "job:status:{job_id}", .ttl = 5s, .jitter = 0},
                   {.name = "doc_summary",
                    .pattern = "doc:summary:{document_id}",
                    .ttl = 3600s,
                    .compress_above = large},
                   {.name = "doc_transcription",
                    .pattern = "doc:transcription:{document_id}",
                    .ttl = 3600s,
                    .compress_above = large},
                   {.name = "chat_answer",
                    .pattern = "chat:answer:{question_hash}",
                    .ttl = 1800s,
                    .compress_above = large},
                   {.name = "vector_search",
                    .pattern = "vector:search:{query_hash}:{job_id}",
                    .ttl = 1800s,
                    .tags = {"job:{job_id}"},
                    .compress_above = large},
                   {.name = "graph",
                    .pattern = "graph:{job_id}:{doc_ids_hash}",
                    .ttl = 600s,
                    .tags = {"job:{job_id}"},
                    .compress_above = large},
                   {.name = "managers", .pattern = "users:managers", .ttl = 300s},
                   {.name = "analysts", .pattern = "users:analysts:{manager_id}", .ttl = 300s}},
      .rules = {user_rule(),
                {.name = "staff", .removes = {"users:managers", "users:analysts:{manager_id}"}},
                {.name = "job", .removes = {"job:status:{job_id}", "#job:{job_id}"}},
                {.name = "document",
                 .removes = {"doc:summary:{document_id}", "doc:transcription:{document_id}"}},
                {.name = "graph", .removes = {"graph:{job_id}:*"}}}};
}

}  // namespace

std::vector<profile> ready_profiles() {
  return {mail(), studio(), flows(), chatbots(), documents()};
}

result<profile> join_profiles(std::span<const std::string_view> names) {
  const std::vector<profile> all = ready_profiles();
  profile joined;
  const auto add = [](auto& into, const auto& from) {
    for (const auto& one : from) {
      if (std::ranges::find(into, one) == into.end()) into.push_back(one);
    }
  };
  for (const std::string_view name : names) {
    const auto found = std::ranges::find(all, name, &profile::name);
    if (found == all.end()) {
      std::string known;
      for (const profile& one : all)
        known += fmt::format("{}{}", known.empty() ? "" : ", ", one.name);
      return invalid("cache.profiles",
                     fmt::format("there is no profile '{}'; there are {}", excerpt(name), known),
                     "unknown_profile");
    }
    add(joined.families, found->families);
    add(joined.rules, found->rules);
  }
  return joined;
}

}  // namespace millrace::cache
