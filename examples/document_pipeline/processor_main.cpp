// A long-lived program behind `millrace worker --exec`: one job a line on stdin, one answer each on
// stdout (docs/workers.md has the protocol).

#include "process_job.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>
#include <string_view>

namespace {

namespace json = boost::json;

void say(std::string_view line) {
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

void answer(const pipeline::outcome<json::object>& done) {
  if (done) {
    say("::done " + json::serialize(*done));
    return;
  }
  json::object why{{"error", done.error().reason}, {"permanent", done.error().permanent}};
  if (done.error().retry_in) {
    why["retry_in"] = std::chrono::duration<double>(*done.error().retry_in).count();
  }
  say("::fail " + json::serialize(why));
}

}  // namespace

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    boost::system::error_code failed;
    const json::value job = json::parse(line, failed);
    if (failed || !job.is_object()) {
      answer(pipeline::unreadable("the job is not a JSON object on one line"));
      continue;
    }
    answer(pipeline::process_job(job.get_object(), [](double value, std::string_view what) {
      say(fmt::format("::progress {} {}", value, what));
    }));
  }
  return 0;
}
