#pragma once

#include <millrace/base/error.hpp>
#include <millrace/cache/shared_cache.hpp>
#include <millrace/engine/wakeups.hpp>

#include <map>
#include <memory>
#include <mutex>
#include <optional>

namespace millrace::cache {

/// Who loads what in this process, so that a key is loaded once however many want it.
///
/// Threading: every member from any thread.
class flights final {
public:
  /// One load, shared by everybody who waits for it.
  struct flight {
    std::mutex mutex;
    bool over{false};
    /// Empty when it is over: whoever loaded has given up.
    std::optional<result<filled>> landed;
  };
  using flight_ptr = std::shared_ptr<flight>;

  /// Whoever loads. Its end is the end of the flight.
  class pilot final {
  public:
    pilot(flights& of, engine::cache_key at, flight_ptr what)
        : of_(&of), at_(std::move(at)), what_(std::move(what)) {}
    pilot(pilot&&) = default;
    pilot& operator=(pilot&&) = delete;
    ~pilot() {
      if (what_) of_->end(at_, *what_, std::nullopt);
    }

    void land(const result<filled>& with) { of_->end(at_, *std::exchange(what_, nullptr), with); }

  private:
    flights* of_;
    engine::cache_key at_;
    flight_ptr what_;
  };

  struct boarded {
    /// Set for whoever has to load.
    std::optional<pilot> first;
    flight_ptr what;
    /// Hears of its end.
    engine::wakeups::listener listener;
  };
  [[nodiscard]] boarded board(const engine::cache_key& at);
  /// Somebody loads it.
  [[nodiscard]] bool is_up(const engine::cache_key& at);

private:
  void end(const engine::cache_key& at, flight& what, std::optional<result<filled>> landed);

  std::mutex mutex_;
  std::map<engine::cache_key, flight_ptr> in_the_air_;
  engine::wakeups ends_;
};

}  // namespace millrace::cache
