#include <millrace/http/cache_codec.hpp>

#include "base64.hpp"
#include "json_members.hpp"
#include "message.hpp"

#include <millrace/base/json.hpp>
#include <millrace/base/names.hpp>
#include <millrace/base/text_time.hpp>
#include <millrace/engine/checks.hpp>
#include <millrace/http/job_codec.hpp>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <array>
#include <charconv>
#include <iterator>
#include <utility>

namespace millrace::http {
namespace {

using engine::cache_expectation;
using engine::put_cache;

constexpr std::string_view bytes_type = "application/octet-stream";

// Strings of an array, at most so many.
result<std::vector<std::string>> read_texts(const json::value& from, std::size_t most,
                                            const field_path& field) {
  const json::array* items = from.if_array();
  if (items == nullptr || items->size() > most) {
    return invalid(field.text(),
                   fmt::format("{} must be an array of at most {} strings.", field.text(), most));
  }
  std::vector<std::string> out;
  out.reserve(items->size());
  for (const json::value& item : *items) {
    result<std::string> text = read_text(item, field);
    if (!text) return std::unexpected(std::move(text.error()));
    out.push_back(std::move(*text));
  }
  return out;
}

struct item {
  put_cache step{};
  std::string base64{};
  bool has_base64{false};
  std::string lease{};
  bool nothing{false};
};
using rule = member_rule<item>;
constexpr std::array rules{
    // Read from the raw text, so that its bytes stay as they are.
    rule{"value"},
    rule{"key",
         [](const json::value& from, item& into, const field_path& field) {
           return store_in(into.step.at.key, read_text(from, field));
         }},
    rule{"value_base64",
         [](const json::value& from, item& into, const field_path& field) {
           into.has_base64 = true;
           return store_in(into.base64, read_text(from, field));
         }},
    rule{"content_type",
         [](const json::value& from, item& into, const field_path& field) {
           return store_in(into.step.content_type, read_text(from, field));
         }},
    rule{"ttl",
         [](const json::value& from, item& into, const field_path& field) {
           auto read = store_in(into.step.ttl, read_seconds(from, engine::cache_ttl_max, field));
           if (!read || into.step.ttl > duration{0}) return read;
           return result<void>(
               invalid(field.text(), fmt::format("{} must be more than 0.", field.text())));
         }},
    rule{"stale_for",
         [](const json::value& from, item& into, const field_path& field) {
           return store_in(into.step.stale_for, read_seconds(from, engine::cache_ttl_max, field));
         }},
    rule{"tags",
         [](const json::value& from, item& into, const field_path& field) {
           return store_in(into.step.tags, read_texts(from, engine::cache_tags_max, field));
         }},
    rule{"if_absent",
         [](const json::value& from, item& into, const field_path& field) {
           const auto flag = read_flag(from, field);
           if (!flag) return result<void>(std::unexpected(flag.error()));
           if (*flag) into.step.expects = cache_expectation::absent;
           return result<void>();
         }},
    rule{"if_version",
         [](const json::value& from, item& into, const field_path& field) {
           constexpr std::int64_t version_max = (std::int64_t{1} << 53U) - 1;
           into.step.expects = cache_expectation::version;
           return store_in(into.step.version, read_integer(from, 1, version_max, field));
         }},
    rule{"lease",
         [](const json::value& from, item& into, const field_path& field) {
           auto read = store_in(into.lease, read_text(from, field));
           if (!read) return read;
           return store_in(into.step.lease, parse_cache_lease(into.lease, field.text()));
         }},
    rule{"nothing",
         [](const json::value& from, item& into, const field_path& field) {
           return store_in(into.nothing, read_flag(from, field));
         }},
};

result<put_cache> read_item(const json::value& parsed, std::string_view raw,
                            const std::string& project) {
  item one;
  one.step.at.project = project;
  // The cache's default, unless it is given.
  one.step.ttl = duration{0};
  if (auto read = read_members<item>(parsed, rules, one, {}); !read) {
    return std::unexpected(std::move(read.error()));
  }
  const auto value = raw_member(raw, "value");
  if (one.nothing && !value && !one.has_base64) {
    one.step.content_type = cache::nothing_type;
    return std::move(one.step);
  }
  if (one.nothing) return invalid("nothing", "With nothing no value is given.");
  if (value.has_value() == one.has_base64) {
    return invalid("value", "value (JSON) or value_base64 has to be given, and not both.");
  }
  put_cache& step = one.step;
  if (value) {
    step.value = *value;
    if (step.content_type.empty()) step.content_type = json_type;
    return std::move(step);
  }
  result<std::string> bytes = decode_base64(one.base64, "value_base64");
  if (!bytes) return std::unexpected(std::move(bytes.error()));
  step.value = std::move(*bytes);
  if (step.content_type.empty()) step.content_type = bytes_type;
  return std::move(step);
}

std::string_view state_name(engine::claim_state state) noexcept {
  switch (state) {
    case engine::claim_state::hit: return "hit";
    case engine::claim_state::fill: return "fill";
    case engine::claim_state::wait: return "wait";
  }
  return "wait";
}

}  // namespace

result<std::uint64_t> parse_cache_lease(std::string_view text, std::string_view field) {
  std::uint64_t lease = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, code] = std::from_chars(text.data(), end, lease);
  if (code == std::errc{} && stopped == end && lease > 0) return lease;
  return invalid(std::string{field},
                 fmt::format("{} must be the text that came with the claim.", field));
}

result<cache_keys_request> decode_cache_keys(std::string_view body, bool may_be_stale) {
  using keys_rule = member_rule<cache_keys_request>;
  static constexpr std::array keys_rules{
      keys_rule{"keys",
                [](const json::value& from, cache_keys_request& into, const field_path& field) {
                  return store_in(into.keys, read_texts(from, cache_items_max, field));
                }},
      keys_rule{"stale",
                [](const json::value& from, cache_keys_request& into, const field_path& field) {
                  return store_in(into.stale, read_flag(from, field));
                }},
  };
  const result<json::value> parsed = parse_json(body.empty() ? std::string_view{"{}"} : body);
  if (!parsed) return std::unexpected(parsed.error());
  cache_keys_request out;
  const std::span<const keys_rule> known(keys_rules.data(), may_be_stale ? 2U : 1U);
  auto read = read_members<cache_keys_request>(*parsed, known, out, {});
  if (!read) return std::unexpected(std::move(read.error()));
  if (out.keys.empty()) return invalid("keys", "keys must be an array with at least one key.");
  for (const std::string& key : out.keys) {
    if (auto ok = check_key(key, "keys"); !ok) return std::unexpected(std::move(ok.error()));
  }
  return out;
}

result<std::vector<result<put_cache>>> decode_cache_items(std::string_view body,
                                                          const std::string& project) {
  const result<json::value> parsed = parse_json(body.empty() ? std::string_view{"{}"} : body);
  if (!parsed) return std::unexpected(parsed.error());
  struct nothing {
  } none;
  static constexpr std::array outer{member_rule<nothing>{"items"}};
  if (auto read = read_members<nothing>(*parsed, outer, none, {}); !read) {
    return std::unexpected(std::move(read.error()));
  }
  const json::value* member = parsed->get_object().if_contains("items");
  const json::array* items = member == nullptr ? nullptr : member->if_array();
  if (items == nullptr || items->empty() || items->size() > cache_items_max) {
    return invalid("items",
                   fmt::format("items must be an array of 1 to {} objects.", cache_items_max));
  }
  std::vector<result<put_cache>> out;
  out.reserve(items->size());
  for_each_raw_element(*raw_member(body, "items"), [&](std::string_view raw) {
    out.push_back(read_item((*items)[out.size()], raw, project));
  });
  return out;
}

result<put_cache> decode_cache_item(std::string_view body, const std::string& project) {
  const result<json::value> parsed = parse_json(body);
  if (!parsed) return std::unexpected(parsed.error());
  return read_item(*parsed, body, project);
}

result<engine::delete_cache> decode_cache_delete(std::string_view body,
                                                 const std::string& project) {
  using delete_rule = member_rule<engine::delete_cache>;
  static constexpr std::array delete_rules{
      delete_rule{"key",
                  [](const json::value& from, engine::delete_cache& into, const field_path& field) {
                    return store_in(into.at.key, read_text(from, field));
                  }},
      delete_rule{"if_version",
                  [](const json::value& from, engine::delete_cache& into, const field_path& field) {
                    constexpr std::int64_t version_max = (std::int64_t{1} << 53U) - 1;
                    return store_in(into.version, read_integer(from, 1, version_max, field));
                  }},
  };
  const result<json::value> parsed = parse_json(body);
  if (!parsed) return std::unexpected(parsed.error());
  engine::delete_cache out{.at = {.project = project, .key = {}}};
  auto read = read_members<engine::delete_cache>(*parsed, delete_rules, out, {});
  if (!read) return std::unexpected(std::move(read.error()));
  return out;
}

result<cache_claim_request> decode_cache_claim(std::string_view body) {
  using claim_rule = member_rule<cache_claim_request>;
  static constexpr std::array claim_rules{
      claim_rule{"wait",
                 [](const json::value& from, cache_claim_request& into, const field_path& field) {
                   return store_in(into.wait, read_seconds(from, cache::claim_wait_max, field));
                 }},
      claim_rule{"lease",
                 [](const json::value& from, cache_claim_request& into, const field_path& field) {
                   return store_in(into.lease, read_seconds(from, engine::claim_lease_max, field));
                 }},
  };
  const result<json::value> parsed = parse_json(body.empty() ? std::string_view{"{}"} : body);
  if (!parsed) return std::unexpected(parsed.error());
  cache_claim_request out;
  auto read = read_members<cache_claim_request>(*parsed, claim_rules, out, {});
  if (!read) return std::unexpected(std::move(read.error()));
  return out;
}

namespace {

using lease_rule = member_rule<cache_lease_request>;
constexpr std::array lease_rules{
    lease_rule{"lease",
               [](const json::value& from, cache_lease_request& into, const field_path& field) {
                 const auto text = read_text(from, field);
                 if (!text) return result<void>(std::unexpected(text.error()));
                 return store_in(into.lease, parse_cache_lease(*text, field.text()));
               }},
    lease_rule{"length",
               [](const json::value& from, cache_lease_request& into, const field_path& field) {
                 return store_in(into.length, read_seconds(from, engine::claim_lease_max, field));
               }},
};

result<cache_lease_request> decode_lease(std::string_view body, std::span<const lease_rule> known) {
  const result<json::value> parsed = parse_json(body.empty() ? std::string_view{"{}"} : body);
  if (!parsed) return std::unexpected(parsed.error());
  cache_lease_request out;
  auto read = read_members<cache_lease_request>(*parsed, known, out, {});
  if (!read) return std::unexpected(std::move(read.error()));
  if (out.lease > 0) return out;
  return invalid("lease", "lease is missing: the text that came with the claim.");
}

}  // namespace

result<cache_lease_request> decode_cache_renewal(std::string_view body) {
  return decode_lease(body, lease_rules);
}

result<cache_lease_request> decode_cache_release(std::string_view body) {
  return decode_lease(body, std::span(lease_rules).first(1));
}

void append_cache_value(std::string& out, const engine::cache_entry& entry) {
  const bool is_json = is_json_type(entry.content_type) && check_json(entry.value).has_value();
  if (entry.content_type == cache::nothing_type) {
    // Whoever looks at the value alone finds that there is none.
    out += R"("nothing":true,"value":null)";
  } else if (is_json) {
    out.append(R"("value":)").append(entry.value);
  } else {
    out += R"("value_base64":")";
    append_base64(out, entry.value);
    out += '"';
  }
  out += R"(,"content_type":)";
  append_json_string(out, entry.content_type.empty() ? bytes_type : entry.content_type);
  fmt::format_to(std::back_inserter(out),
                 R"(,"version":{},"created_at":"{}","expires_at":"{}","stale":{})", entry.version,
                 to_rfc3339(entry.created_at), to_rfc3339(entry.expires_at), entry.stale);
}

void append_cache_stored(std::string& out, std::string_view key,
                         const engine::cache_stored& stored) {
  out += R"({"key":)";
  append_json_string(out, key);
  fmt::format_to(std::back_inserter(out), R"(,"version":{},"created_at":"{}","expires_at":"{}"}})",
                 stored.version, to_rfc3339(stored.created_at), to_rfc3339(stored.expires_at));
}

void append_cache_claimed(std::string& out, const engine::cache_claimed& claimed) {
  fmt::format_to(std::back_inserter(out), R"({{"state":"{}")", state_name(claimed.state));
  if (claimed.state == engine::claim_state::fill) {
    fmt::format_to(std::back_inserter(out), R"(,"lease":"{}","lease_until":"{}")", claimed.lease,
                   to_rfc3339(claimed.until));
  }
  // While somebody fills, a stale value may be good enough.
  if (claimed.found) {
    out += ',';
    append_cache_value(out, *claimed.found);
  }
  out += '}';
}

}  // namespace millrace::http
