#pragma once

#include <millrace/base/awaitable.hpp>
#include <millrace/engine/store.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace millrace::http {

/// Who follows: what the registry of connections says of a client of event streams.
struct live_listener {
  std::string project;
  std::string flow;
  std::string user;
};

/// Keeps this server's clients in the registry of connections: registers them, says that they live,
/// and takes them out. What is registered of a server that was killed goes by itself.
///
/// Threading: on the strand of its hub.
/// Errors:    none: a store that cannot serve now is told again with the next sign of life.
/// Cost:      one commit a batch; an entry is renewed every 100 s.
class sse_presence final {
public:
  sse_presence(engine::store& store, std::string server_id);

  /// The number of its entry; they are counted up.
  std::uint64_t add(live_listener who);
  void remove(std::uint64_t id);

  /// Writes what is new and renews what is due.
  [[nodiscard]] awaitable<void> write();
  /// Takes everybody out.
  [[nodiscard]] awaitable<void> write_last();

private:
  struct due {
    std::uint64_t id{0};
    std::chrono::steady_clock::time_point at;
  };

  [[nodiscard]] std::string name_of(std::uint64_t id) const;
  [[nodiscard]] engine::transaction put(std::uint64_t id, const live_listener& who) const;
  [[nodiscard]] engine::transaction drop(std::uint64_t id, const std::string& project) const;

  engine::store& store_;
  std::string server_;
  std::string prefix_;
  std::uint64_t last_{0};
  std::unordered_map<std::uint64_t, live_listener> all_;
  std::deque<due> renewals_;
  std::vector<std::pair<std::uint64_t, std::string>> left_;
};

}  // namespace millrace::http
