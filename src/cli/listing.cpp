#include "listing.hpp"

#include "json_view.hpp"

#include <boost/json/value.hpp>
#include <fmt/format.h>

#include <ostream>
#include <utility>

namespace millrace::cli {

std::vector<option> with_listing_options(std::vector<option> own) {
  own.push_back(
      {.name = "--limit", .value = "N", .purpose = "at most so many, 1 to 1000 (default 50)"});
  own.push_back({.name = "--cursor", .value = "CURSOR", .purpose = "where the last page ended"});
  return with_reading_options(std::move(own));
}

std::vector<option> job_filter_options() {
  return {{.name = "--type", .value = "T", .purpose = "only those of this type"},
          {.name = "--label",
           .value = "K=V",
           .purpose = "only those with this label; several must all hold",
           .repeated = true}};
}

option error_filter_option() {
  return {.name = "--error",
          .value = "FINGERPRINT",
          .purpose = "only those with this error, as `dlq stats --json` shows its fingerprint"};
}

result<std::pair<std::string, std::string>> parse_label(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    return invalid("--label", fmt::format("'{}' is no label: write key=value", text));
  }
  return std::pair{text.substr(0, equals), text.substr(equals + 1)};
}

result<std::vector<std::string>> filter_query(const context& with) {
  std::vector<std::string> query;
  if (const auto type = with.in.text("--type")) {
    query.push_back("type=" + client::encode_segment(*type));
  }
  if (const auto cause = with.in.text("--error")) {
    query.push_back("fingerprint=" + client::encode_segment(*cause));
  }
  for (const std::string& text : with.in.texts("--label")) {
    const auto label = parse_label(text);
    if (!label) return std::unexpected(label.error());
    query.push_back(fmt::format("label.{}={}", client::encode_segment(label->first),
                                client::encode_segment(label->second)));
  }
  return query;
}

result<std::string> listing_target(const context& with, std::string target,
                                   std::vector<std::string> query) {
  const auto limit = with.in.integer("--limit", 1, 1000);
  if (!limit) return std::unexpected(limit.error());
  query.push_back(fmt::format("limit={}", limit->value_or(50)));
  if (const auto cursor = with.in.text("--cursor")) {
    query.push_back(fmt::format("cursor={}", client::encode_segment(*cursor)));
  }
  char separator = '?';
  for (const std::string& pair : query) {
    target += separator + pair;
    separator = '&';
  }
  return target;
}

exit_code show_answer(const context& with, std::string_view command, const std::string& target,
                      const std::function<void(const json::value&)>& print) {
  auto server = server_call::open(with);
  if (!server) return report_usage(with, command, server.error());
  const auto answer = (*server)->get(target);
  if (!answer) return report(with, answer.error());
  if (with.in.has("--json")) {
    with.around.out << answer->body << '\n';
    return exit_code::done;
  }
  const auto body = body_of(*answer);
  if (!body) return report(with, body.error());
  print(*body);
  if (const std::string cursor = text_at(*body, "cursor"); !cursor.empty()) {
    with.around.err << fmt::format("There is more: --cursor {}\n", cursor);
  }
  return exit_code::done;
}

}  // namespace millrace::cli
