#include "checkpointer.hpp"

#include <pthread.h>

#include <utility>

namespace millrace::embedded {

checkpointer::checkpointer(std::filesystem::path file, std::string vfs)
    : file_(std::move(file)), vfs_(std::move(vfs)), thread_([this] { run(); }) {
  ::pthread_setname_np(thread_.native_handle(), "mr-checkpoint");
}

checkpointer::~checkpointer() {
  {
    const std::lock_guard lock(mutex_);
    state_ = state::closing;
  }
  changed_.notify_one();
  thread_.join();
}

void checkpointer::begin() {
  if (state_ != state::idle) return;
  {
    const std::lock_guard lock(mutex_);
    state_ = state::wanted;
  }
  changed_.notify_one();
}

bool checkpointer::finished() {
  if (state_ != state::finished) return false;
  state_ = state::idle;
  return true;
}

void checkpointer::run() {
  // Opened when it is needed for the first time: a store that is hardly used does without.
  std::unique_ptr<database> db;
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return state_ == state::wanted || state_ == state::closing; });
    if (state_ == state::closing) return;
    lock.unlock();
    if (!db) {
      auto opened = database::open(file_, vfs_, database::mode::existing);
      // A connection that has read nothing does not know that there is a log, and leaves it alone.
      if (opened && (*opened)->number("PRAGMA user_version")) db = std::move(*opened);
    }
    if (db) static_cast<void>(db->run_checkpoint(database::checkpoint::passive));
    lock.lock();
    if (state_ == state::wanted) state_ = state::finished;
  }
}

}  // namespace millrace::embedded
