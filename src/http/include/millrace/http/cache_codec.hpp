#pragma once

#include <millrace/base/error.hpp>
#include <millrace/cache/shared_cache.hpp>
#include <millrace/engine/cache_steps.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Entries of the cache as JSON, in the shapes of the API. Decoders are strict, as those of jobs.
namespace millrace::http {

/// Items of one bulk request.
inline constexpr std::size_t cache_items_max = 10'000;

/// `{"keys":[…]}`, and `stale` where it is asked for.
struct cache_keys_request {
  std::vector<std::string> keys;
  bool stale{false};
};
[[nodiscard]] result<cache_keys_request> decode_cache_keys(std::string_view body,
                                                           bool may_be_stale);

/// `{"items":[{"key","value"|"value_base64","content_type","ttl","stale_for","tags","if_absent",
/// "if_version","lease"}]}`: one entry an item.
[[nodiscard]] result<std::vector<result<engine::put_cache>>> decode_cache_items(
    std::string_view body, const std::string& project);

/// One of them by itself, and `{"key","if_version"}`: steps of a commit.
[[nodiscard]] result<engine::put_cache> decode_cache_item(std::string_view body,
                                                          const std::string& project);
[[nodiscard]] result<engine::delete_cache> decode_cache_delete(std::string_view body,
                                                               const std::string& project);

/// The lease of a claim, which is told as a text: its digits mean nothing to anybody.
[[nodiscard]] result<std::uint64_t> parse_cache_lease(std::string_view text,
                                                      std::string_view field);

/// `{"wait","lease"}`.
struct cache_claim_request {
  duration wait{0};
  duration lease{std::chrono::seconds{30}};
};
[[nodiscard]] result<cache_claim_request> decode_cache_claim(std::string_view body);

/// `{"lease","length"}`: a claim that is to be kept; `{"lease"}`: one that is given back.
struct cache_lease_request {
  std::uint64_t lease{0};
  duration length{std::chrono::seconds{30}};
};
[[nodiscard]] result<cache_lease_request> decode_cache_renewal(std::string_view body);
[[nodiscard]] result<cache_lease_request> decode_cache_release(std::string_view body);

/// Appends `"value":…` where it is JSON and says so, else `"value_base64":"…"`; and its content
/// type, version and times.
void append_cache_value(std::string& out, const engine::cache_entry& entry);
void append_cache_stored(std::string& out, std::string_view key,
                         const engine::cache_stored& stored);
void append_cache_claimed(std::string& out, const engine::cache_claimed& claimed);
/// An object without its closing brace, so that more can follow. `of_store`: null where it is away,
/// and so are its numbers.
void append_open_cache_numbers(std::string& out, const engine::read_cache_stats::numbers* of_store,
                               const cache::cache_numbers& of_process);
/// `{"entries","bytes","bytes_max","evictions"}` of what lies near.
void append_near_usage(std::string& out, const cache::local_cache_usage& near);
/// What the store holds of a family.
struct family_count {
  std::uint64_t entries{0};
  std::uint64_t bytes{0};
};
/// The numbers of one family; `held` none where nobody knows.
void append_family_numbers(std::string& out, const cache::family_numbers& of,
                           const std::optional<family_count>& held);
/// A declared family, as settings say it.
void append_family(std::string& out, const cache::family_spec& of, duration default_ttl);

/// The same for Prometheus.
void append_cache_metrics(std::string& out, const engine::read_cache_stats::numbers* of_store,
                          const cache::cache_numbers& of_process);

void append_near_metrics(std::string& out, const cache::local_cache_usage& near,
                         std::uint64_t hits);
void append_family_metrics(std::string& out, const std::vector<cache::family_numbers>& of);

/// How many of the reads were answered; 0 before the first.
[[nodiscard]] double hit_rate(const cache::cache_numbers& of) noexcept;

}  // namespace millrace::http
