#include "http_fixture.hpp"

#include <millrace/engine/async.hpp>

#include <filesystem>
#include <fstream>

namespace millrace::http {
namespace {

using testing::make_request;
using testing::raw_client;
using testing::reply;
using testing::test_server;

TEST(HealthRoutes, TellWhatRunsHere) {
  const test_server server({.version = "1.2.3"});
  const reply health = server.ask("GET /health");
  EXPECT_EQ(health.status, 200);
  EXPECT_EQ(health.text("status"), "ok");
  EXPECT_EQ(health.text("version"), "1.2.3");
  EXPECT_EQ(health.text("durability"), "memory");
  EXPECT_EQ(server.ask("GET /health/live").text("status"), "ok");
  EXPECT_EQ(server.ask("GET /health/ready").text("status"), "ready");
}

TEST(MetricsRoute, CountsQueuesAndRequests) {
  const test_server server;
  // On one connection: a request is counted before the next one is read.
  raw_client client = server.connect();
  client.send(make_request("POST /v1/queues/document/jobs") + make_request("GET /v1/jobs/none") +
              make_request("GET /metrics"));
  ASSERT_TRUE(client.receive());
  ASSERT_TRUE(client.receive());
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  const reply& metrics = *answer;
  EXPECT_EQ(metrics.status, 200);
  EXPECT_TRUE(metrics.header("content-type").starts_with("text/plain; version=0.0.4"));
  const auto has = [&metrics](std::string_view line) {
    return metrics.body.find("\n" + std::string{line} + "\n") != std::string::npos;
  };
  EXPECT_TRUE(has(R"(millrace_queue_jobs{queue="document",status="queued"} 1)")) << metrics.body;
  EXPECT_TRUE(has(R"(millrace_http_requests_total{method="POST",)"
                  R"(route="/v1/queues/{queue}/jobs",status="201"} 1)"));
  EXPECT_TRUE(
      has(R"(millrace_http_requests_total{method="GET",route="/v1/jobs/{id}",status="404"} 1)"));
  EXPECT_TRUE(has(
      R"(millrace_http_request_seconds_count{method="POST",route="/v1/queues/{queue}/jobs"} 1)"));
}

TEST(PageRoute, LoadsNothingFromElsewhere) {
  const test_server server;
  const reply page = server.ask("GET /");
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.header("content-type"), "text/html; charset=utf-8");
  EXPECT_NE(page.header("content-security-policy").find("default-src 'none'"), std::string::npos);
  EXPECT_EQ(page.body.find("http://"), std::string::npos);
  EXPECT_EQ(page.body.find("https://"), std::string::npos);
}

TEST(BackupRoute, SendsTheCopyAndLeavesNothingBehind) {
  const auto directory = std::filesystem::temp_directory_path() /
                         ("millrace-backup-test-" + std::to_string(::getpid()));
  std::filesystem::create_directories(directory);
  const std::string content(3'000'000, 'b');
  const test_server server(
      {.backup = [&content](const std::filesystem::path& path) -> result<void> {
         std::ofstream(path, std::ios::binary) << content;
         return {};
       },
       .scratch_directory = directory});
  const reply copy = server.ask("GET /admin/backup");
  EXPECT_EQ(copy.status, 200);
  EXPECT_EQ(copy.header("content-type"), "application/octet-stream");
  EXPECT_EQ(copy.body, content);
  EXPECT_TRUE(std::filesystem::is_empty(directory));
  std::filesystem::remove_all(directory);
}

TEST(BackupRoute, SaysWhenTheEngineHasNone) {
  const test_server server;
  const reply none = server.ask("GET /admin/backup");
  EXPECT_EQ(none.status, 501);
  EXPECT_EQ(none.text("code"), "backup_unsupported");
}

TEST(BackupRoute, SaysWhyItFailed) {
  const test_server server({.backup = [](const std::filesystem::path&) -> result<void> {
    return fail(errc::storage_full, "disk_full", "There is no room.");
  }});
  const reply failed = server.ask("GET /admin/backup");
  EXPECT_EQ(failed.status, 507);
  EXPECT_EQ(failed.text("code"), "disk_full");
  // And another may be tried.
  EXPECT_EQ(server.ask("GET /admin/backup").status, 507);
}

}  // namespace
}  // namespace millrace::http
