#pragma once

#include "sqlite.hpp"

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace millrace::embedded {

/// Writes the log back into the file on a thread and a connection of its own, while the writer goes
/// on. The few pages that came meanwhile are left to the writer (`finished`), between two groups:
/// then the log holds nothing that is not in the file, and begins anew. So it stays bounded however
/// long the load lasts.
///
/// Errors:    a checkpoint that fails leaves the log as it is; the next one tries again.
/// Threading: `begin` and `finished` from one thread.
class checkpointer final {
public:
  checkpointer(std::filesystem::path file, std::string vfs);
  ~checkpointer();
  checkpointer(const checkpointer&) = delete;
  checkpointer& operator=(const checkpointer&) = delete;

  /// Starts one unless one is going on.
  void begin();
  /// One has ended since the last call: the rest is the writer's.
  [[nodiscard]] bool finished();

private:
  enum class state { idle, wanted, finished, closing };

  void run();

  const std::filesystem::path file_;
  const std::string vfs_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<state> state_{state::idle};
  std::thread thread_;
};

}  // namespace millrace::embedded
