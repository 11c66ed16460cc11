#pragma once

#include "workload.hpp"

#include <millrace/base/awaitable.hpp>
#include <millrace/base/error.hpp>

#include <boost/asio/thread_pool.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace demo {

/// PostgreSQL with what the workload reads, by a few connections.
///
/// Threading: every member from any thread.
class database final {
public:
  /// Blocks until everything is there. Errors: unavailable, with what PostgreSQL says.
  [[nodiscard]] static millrace::result<std::unique_ptr<database>> open(std::string where,
                                                                        std::size_t connections);
  ~database();
  database(const database&) = delete;
  database& operator=(const database&) = delete;

  /// As JSON.
  [[nodiscard]] millrace::awaitable<millrace::result<std::string>> read(request what);
  [[nodiscard]] millrace::awaitable<millrace::result<void>> write(request what);

  /// Reads so far.
  [[nodiscard]] std::uint64_t queries() const noexcept { return queries_; }

private:
  class connections;
  explicit database(std::unique_ptr<connections> pool);

  static millrace::awaitable<millrace::result<std::string>> run(database* on, std::string statement,
                                                                std::uint32_t id);

  std::unique_ptr<connections> pool_;
  std::atomic<std::uint64_t> queries_{0};
};

}  // namespace demo
