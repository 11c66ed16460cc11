#include "commands.hpp"
#include "json_view.hpp"
#include "people.hpp"
#include "run_to_end.hpp"
#include "server_call.hpp"
#include "stream_follow.hpp"
#include "terminal.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>

#include <exception>
#include <ostream>
#include <utility>

namespace millrace::cli {
namespace {

constexpr std::size_t bar_columns = 20;

struct watched {
  std::string id;
  json::value entry;
  std::string ended;
};

// One bar for each, side by side on one line of a terminal; elsewhere a line a change.
class progress_display final {
public:
  progress_display(const context& with, std::vector<watched>& all)
      : with_(with), all_(all), line_(with.around) {}

  // False: this one has ended.
  bool take(watched& one, const client::event& told) {
    const auto parsed = parse_json(told.data);
    if (!parsed) return true;
    if (with_.in.has("--json")) {
      with_.around.out << fmt::format(R"({{"event":"{}","data":{}}})", told.type, told.data) << '\n'
                       << std::flush;
    }
    if (told.type == "progress") {
      one.entry = *parsed;
      show(one);
    } else if (told.type == "end") {
      one.ended = text_at(*parsed, "status");
      show_end(one);
      return false;
    }
    return true;
  }

private:
  [[nodiscard]] std::string text_of(const watched& one) const {
    const auto total = static_cast<double>(count_at(one.entry, "total_steps"));
    const auto step = static_cast<double>(count_at(one.entry, "current_step"));
    const double share = total > 0 ? step / total : 0;
    std::string out = fmt::format("{} {} {:3.0f} %", printable(one.id),
                                  progress_bar(share, bar_columns), share * 100);
    const std::string message = printable(text_at(one.entry, "message"));
    if (!message.empty()) out += "  " + message;
    if (const auto end = time_at(one.entry, "estimated_completion")) {
      out += "  done " + relative_time(*end, with_.around.clock.now());
    }
    return out;
  }

  void show(const watched& one) {
    if (with_.in.has("--json")) return;
    if (!with_.around.out_is_terminal) {
      with_.around.err << text_of(one) << '\n' << std::flush;
      return;
    }
    std::string text;
    for (const watched& each : all_) {
      if (each.entry.is_null() || !each.ended.empty()) continue;
      text.append(text.empty() ? "" : "   ").append(text_of(each));
    }
    line_.show(text);
  }

  void show_end(const watched& one) {
    if (with_.in.has("--json")) return;
    line_.clear();
    const std::string message = printable(text_at(one.entry, "message"));
    with_.around.out << printable(one.id) << ' ' << one.ended
                     << (message.empty() ? "" : ": " + message) << '\n'
                     << std::flush;
  }

  const context& with_;
  std::vector<watched>& all_;
  live_line line_;
};

exit_code watch(context& with) {
  auto server = server_call::open(with);
  if (!server) return report_usage(with, "progress watch", server.error());
  std::vector<watched> all;
  for (std::string& id : with.in.texts("ID")) all.push_back({.id = std::move(id)});
  progress_display display{with, all};
  std::optional<error> failed;
  for (watched& one : all) {
    asio::co_spawn(
        (*server)->io(),
        follow_stream(
            (*server)->api(), fmt::format("/v1/progress/{}/events", client::encode_segment(one.id)),
            {}, [&display, &one](const client::event& told) { return display.take(one, told); }),
        [&failed](const std::exception_ptr& thrown, std::optional<error> why) {
          if (thrown) std::terminate();
          if (why && !failed) failed = std::move(why);
        });
  }
  (*server)->io().restart();
  (*server)->io().run();
  if (failed) return report(with, *failed);
  for (const watched& one : all) {
    if (one.ended != "completed") return exit_code::failed;
  }
  return exit_code::done;
}

}  // namespace

std::vector<command> progress_commands() {
  return {
      {.name = "progress watch",
       .purpose = "Follow the progress of requests to their end.",
       .arguments = {{.name = "ID", .purpose = "correlation ids", .repeated = true}},
       .options = with_reading_options({}),
       .examples = {"millrace progress watch import-17",
                    "millrace progress watch import-17 import-18 --json"},
       .run = watch,
       .notes =
           "One that has not begun is waited for. Exit code 0 when all have completed, 1 when\n"
           "one has failed or was deleted."},
  };
}

}  // namespace millrace::cli
