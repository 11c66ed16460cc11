#pragma once

#include <millrace/engine/store.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <mutex>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

/// For this room's tests only.
namespace millrace {

/// Passes everything on to a store, counts, and can hold answers back, fail, or keep hints to
/// itself.
class watched_store final : public engine::store {
public:
  explicit watched_store(engine::store& inner) : inner_(inner) {}

  void submit(std::vector<engine::transaction> batch, commit_handler done) override {
    ++commits_;
    const auto leases = [](const engine::transaction& one) {
      return std::holds_alternative<engine::lease_jobs>(one.steps.front());
    };
    looks_ += static_cast<std::size_t>(std::ranges::count_if(batch, leases));
    if (down_) {
      std::vector<engine::commit_result> refused;
      for (std::size_t i = 0; i < batch.size(); ++i) {
        refused.emplace_back(std::unexpected(engine::refusal{away(), 0}));
      }
      done(std::move(refused));
      return;
    }
    if (!holding_) {
      inner_.submit(std::move(batch), std::move(done));
      return;
    }
    inner_.submit(std::move(batch), [this, done = std::move(done)](
                                        std::vector<engine::commit_result> results) mutable {
      held_.emplace_back(std::move(done), std::move(results));
    });
  }

  void ask(engine::query what, answer_handler done) override {
    ++asked_;
    if (down_) {
      done(std::unexpected(away()));
      return;
    }
    inner_.ask(std::move(what), std::move(done));
  }

  [[nodiscard]] engine::wakeups& hints() noexcept override {
    return deaf_ ? silence_ : inner_.hints();
  }
  [[nodiscard]] engine::store_traits traits() const noexcept override { return inner_.traits(); }

  /// Answers to commits wait from now on, though the commits themselves happen.
  void hold_answers() { holding_ = true; }
  void release_answers() {
    holding_ = false;
    for (auto& [done, results] : std::exchange(held_, {})) done(std::move(results));
  }
  [[nodiscard]] std::size_t held() const { return held_.size(); }

  void go_down(bool down) { down_ = down; }
  /// No hint of the inner store is heard.
  void go_deaf() { deaf_ = true; }

  [[nodiscard]] std::size_t looks() const { return looks_; }
  [[nodiscard]] std::size_t commits() const { return commits_; }
  [[nodiscard]] std::size_t asked() const { return asked_; }

private:
  static error away() {
    return {errc::unavailable, "store_unavailable", "the store is away", "", std::nullopt};
  }

  engine::store& inner_;
  engine::wakeups silence_;
  std::atomic<std::size_t> looks_{0};
  std::atomic<std::size_t> commits_{0};
  std::atomic<std::size_t> asked_{0};
  std::atomic<bool> down_{false};
  bool holding_{false};
  bool deaf_{false};
  std::vector<std::pair<commit_handler, std::vector<engine::commit_result>>> held_;
};

}  // namespace millrace
