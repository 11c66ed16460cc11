#include "route_support.hpp"
#include "routes.hpp"

#include <millrace/base/text_time.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace millrace::http {
namespace {

constexpr std::size_t part_bytes = std::size_t{256} << 10U;

// A copy of the store on its way to a client. Its file has no name any more, so that nothing stays
// behind whatever happens; its thread blocks in the engine's and the disk's stead.
struct backup_copy {
  explicit backup_copy(std::atomic<bool>& one_at_a_time) : busy(one_at_a_time) {}
  ~backup_copy() {
    if (file != nullptr) std::fclose(file);
    busy.store(false);
  }
  backup_copy(const backup_copy&) = delete;
  backup_copy& operator=(const backup_copy&) = delete;

  std::atomic<bool>& busy;
  std::FILE* file{nullptr};
  std::uint64_t bytes{0};
  asio::thread_pool thread{1};
};

error backup_failed(std::string_view why) {
  return {.kind = errc::unavailable,
          .code = "backup_failed",
          .detail = fmt::format("The backup could not be written: {}.", why)};
}

result<void> write_copy(backup_copy& copy, const server_options& options) {
  std::error_code code;
  const std::filesystem::path directory = options.scratch_directory.empty()
                                              ? std::filesystem::temp_directory_path(code)
                                              : options.scratch_directory;
  const std::filesystem::path path =
      directory / fmt::format("millrace-backup-{}-{}", ::getpid(),
                              std::chrono::steady_clock::now().time_since_epoch().count());
  result<void> written = options.backup(path);
  if (written) {
    copy.file = std::fopen(path.c_str(), "rb");
    copy.bytes = std::filesystem::file_size(path, code);
  }
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
  if (!written) return written;
  if (copy.file == nullptr || code) {
    return std::unexpected(backup_failed(code ? code.message() : "its file cannot be read"));
  }
  return {};
}

// The two that block; they run on the copy's thread.
awaitable<result<void>> make_copy(backup_copy* copy, const server_options* options) {
  co_return write_copy(*copy, *options);
}
awaitable<std::string> read_part(backup_copy* copy) {
  std::string part(part_bytes, '\0');
  part.resize(std::fread(part.data(), 1, part.size(), copy->file));
  co_return part;
}

awaitable<void> send_copy(std::shared_ptr<backup_copy> copy, connection* to) {
  while (true) {
    const std::string part =
        co_await asio::co_spawn(copy->thread, read_part(copy.get()), asio::use_awaitable);
    if (part.empty()) co_return;
    const bool sent = co_await send_chunk(*to, part);
    if (!sent) co_return;
  }
}

}  // namespace

awaitable<response> send_backup(service& with, request& what) {
  const auto checked = check_no_query(what);
  if (!checked) co_return problem(checked.error());
  if (!with.options.backup) {
    co_return problem(
        501, error{.kind = errc::unsupported,
                   .code = "backup_unsupported",
                   .detail = fmt::format("The {} engine has no backup of its own; use that of the "
                                         "server it keeps everything in.",
                                         with.store.traits().engine)});
  }
  if (with.backing_up.exchange(true)) {
    co_return problem(error{.kind = errc::conflict,
                            .code = "backup_running",
                            .detail = "Another backup is being made. Try again when it is done."});
  }
  const auto copy = std::make_shared<backup_copy>(with.backing_up);
  const auto made = co_await asio::co_spawn(copy->thread, make_copy(copy.get(), &with.options),
                                            asio::use_awaitable);
  if (!made) co_return problem(made.error());
  response answer{.content_type = "application/octet-stream", .stream_length = copy->bytes};
  answer.headers =
      fmt::format("Content-Disposition: attachment; filename=\"millrace-{}.backup\"\r\n",
                  std::chrono::duration_cast<std::chrono::seconds>(
                      std::chrono::system_clock::now().time_since_epoch())
                      .count());
  answer.stream = [copy, to = what.from] { return send_copy(copy, to); };
  co_return answer;
}

}  // namespace millrace::http
