#include "sse_response.hpp"

#include <millrace/base/names.hpp>

#include <utility>

namespace millrace::http {

response stream_response(subscription what) {
  response answer{.content_type = event_stream_type, .headers = "X-Accel-Buffering: no\r\n"};
  answer.follow = std::make_shared<subscription>(std::move(what));
  return answer;
}

response stream_response(subscription::part what, std::vector<live_listener> listeners) {
  subscription made{.parts = {}, .vector_id = false, .listeners = std::move(listeners)};
  made.parts.push_back(std::move(what));
  return stream_response(std::move(made));
}

result<std::string> read_listener(query_reader& query) {
  std::optional<std::string> user = query.text("user");
  if (!user) return std::string{};
  result<void> checked = check_key(*user, "user");
  if (!checked) return std::unexpected(std::move(checked.error()));
  return std::move(*user);
}

}  // namespace millrace::http
