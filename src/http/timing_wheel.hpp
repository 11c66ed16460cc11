#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

namespace millrace::http {

/// Many deadlines under one timer: each item stands in the slot of the tick at which it is due.
///
/// `Item` has a public member `wheel_place on_wheel`. An item is in at most one wheel, which owns
/// it with others until it is taken out.
///
/// Threading: one call at a time.
/// Cost:      O(1) each; a tick costs what is due at it.
struct wheel_place {
  static constexpr std::uint32_t none = 0xffffffff;
  std::uint32_t slot{none};
  std::uint32_t index{0};
};

template <class Item>
class timing_wheel final {
public:
  static constexpr std::size_t slots = 64;

  /// Due in that many ticks: at least one, at most `slots` - 1.
  void insert(std::shared_ptr<Item> item, std::size_t ticks) {
    const std::size_t ahead = std::clamp<std::size_t>(ticks, 1, slots - 1);
    const auto slot = static_cast<std::uint32_t>((now_ + ahead) % slots);
    item->on_wheel = {.slot = slot, .index = static_cast<std::uint32_t>(at_[slot].size())};
    at_[slot].push_back(std::move(item));
    ++size_;
  }

  /// Nothing where it is in no wheel.
  void erase(Item& item) noexcept {
    if (item.on_wheel.slot == wheel_place::none) return;
    auto& slot = at_[item.on_wheel.slot];
    const std::size_t index = item.on_wheel.index;
    item.on_wheel.slot = wheel_place::none;
    // `item` may end with this.
    const std::shared_ptr<Item> kept = std::move(slot[index]);
    if (index + 1 != slot.size()) {
      slot[index] = std::move(slot.back());
      slot[index]->on_wheel.index = static_cast<std::uint32_t>(index);
    }
    slot.pop_back();
    --size_;
  }

  /// How many ticks until it is due.
  [[nodiscard]] std::size_t ticks_left(const Item& item) const noexcept {
    return (item.on_wheel.slot + slots - now_ % slots) % slots;
  }

  /// The next tick: takes out all that are due at it.
  [[nodiscard]] std::vector<std::shared_ptr<Item>> tick() {
    now_ = (now_ + 1) % slots;
    return take(at_[now_]);
  }

  /// Takes out everything.
  [[nodiscard]] std::vector<std::shared_ptr<Item>> take_all() {
    std::vector<std::shared_ptr<Item>> all;
    all.reserve(size_);
    for (auto& slot : at_) {
      auto some = take(slot);
      std::ranges::move(some, std::back_inserter(all));
    }
    return all;
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }

private:
  std::vector<std::shared_ptr<Item>> take(std::vector<std::shared_ptr<Item>>& slot) {
    std::vector<std::shared_ptr<Item>> due = std::exchange(slot, {});
    size_ -= due.size();
    for (auto& item : due) item->on_wheel.slot = wheel_place::none;
    return due;
  }

  std::array<std::vector<std::shared_ptr<Item>>, slots> at_;
  std::size_t now_{0};
  std::size_t size_{0};
};

}  // namespace millrace::http
