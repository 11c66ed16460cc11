#include "pipeline_run.hpp"
#include "progress_bar.hpp"
#include "run_plan.hpp"
#include "run_report.hpp"
#include "samples.hpp"

#include <millrace/client/api_client.hpp>

#include <CLI/CLI.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace fs = std::filesystem;
using millrace::awaitable;
using millrace::result;

struct arguments {
  std::string url;
  std::vector<std::string> docs;
  std::string samples;
  std::size_t files_max{150};
};

/// The late sample's upload ends a while after the jobs were sent, so that its first run comes too
/// early.
constexpr std::chrono::milliseconds upload_takes{1500};

awaitable<result<void>> run(millrace::client::api_client& server,
                            std::vector<pipeline::planned_file> plan) {
  const std::string correlation_id =
      fmt::format("pipeline-{}", std::chrono::duration_cast<std::chrono::milliseconds>(
                                     std::chrono::system_clock::now().time_since_epoch())
                                     .count());
  pipeline::pipeline_run files{server};
  result<void> sent = co_await files.enqueue(std::move(plan), correlation_id);
  if (!sent) co_return sent;
  fmt::print("{} jobs are durable; from here on nothing of them can be lost.\n\n",
             files.jobs().size());
  pipeline::progress_bar bar;
  result<void> ended =
      co_await files.follow([&bar](const pipeline::run_counts& counts) { bar.draw(counts); });
  if (!ended) co_return ended;
  bar.finish(files.counts());
  result<pipeline::tracked_job> graph = co_await files.relate_terms(correlation_id);
  if (!graph) co_return std::unexpected(graph.error());
  pipeline::print_report(files.jobs(), *graph);
  co_return result<void>{};
}

int fail(std::string_view what) {
  fmt::print(stderr, "document_pipeline: {}\n", what);
  return 1;
}

int run_to_end(const arguments& given, std::vector<pipeline::planned_file> plan) {
  result<millrace::client::endpoint> where = millrace::client::resolve_endpoint(
      {.flag = given.url.empty() ? std::nullopt : std::optional{given.url},
       .variable = std::getenv("MILLRACE_URL") == nullptr
                       ? std::nullopt
                       : std::optional<std::string>{std::getenv("MILLRACE_URL")}});
  if (!where) return fail(where.error().detail);
  boost::asio::io_context loop;
  millrace::client::api_client server{loop.get_executor(), {.where = *where}};
  result<void> outcome;
  boost::asio::co_spawn(loop, run(server, std::move(plan)),
                        [&](const std::exception_ptr& thrown, result<void> ended) {
                          if (thrown) std::rethrow_exception(thrown);
                          outcome = std::move(ended);
                          server.close();
                        });
  loop.run();
  if (!outcome) return fail(outcome.error().detail);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  arguments given;
  CLI::App app{
      "Sends every file of some folders through millrace as durable jobs: text is summarised,\n"
      "sound measured, video described, and the terms of all documents are related to each other.\n"
      "A server and a worker with document_processor must be running; `make run` starts them."};
  app.add_option("--url", given.url, "the server (default: MILLRACE_URL, else the local one)");
  app.add_option("--docs", given.docs, "a folder of files to process; may be given several times")
      ->check(CLI::ExistingDirectory);
  app.add_option("--samples", given.samples,
                 "make sample files in this folder, broken ones included, and process them too");
  app.add_option("--files-max", given.files_max, "files taken of each folder")
      ->capture_default_str()
      ->check(CLI::Range(1, 100000));
  CLI11_PARSE(app, argc, argv);

  std::vector<pipeline::source> sources;
  std::optional<pipeline::sample_set> samples;
  if (!given.samples.empty()) {
    samples = pipeline::make_samples(fs::absolute(given.samples).lexically_normal());
    sources.push_back({fs::absolute(given.samples).lexically_normal(), samples->files.size() + 1});
  }
  for (const std::string& folder : given.docs) {
    sources.push_back({fs::absolute(folder).lexically_normal(), given.files_max});
  }
  std::vector<pipeline::planned_file> plan = pipeline::plan_run(sources);
  if (samples) {
    std::erase_if(plan, [](const auto& planned) { return planned.file.extension() == ".part"; });
  }
  if (plan.empty()) return fail("there is no file in these folders: name one with --docs");
  std::jthread upload;
  if (samples) {
    upload = std::jthread{[set = *samples] {
      std::this_thread::sleep_for(upload_takes);
      pipeline::finish_upload(set);
    }};
  }
  return run_to_end(given, std::move(plan));
}
