#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

namespace millrace::policies {

/// Moves a share up or down as long as that raises the hit ratio; a sudden change of the ratio
/// starts it again with large steps. After Caffeine's hill climber.
class climber final {
public:
  climber(double share, double least, double most) : share_(share), least_(least), most_(most) {}

  void count(bool hit, std::size_t entries) {
    ++seen_;
    hits_ += hit ? 1 : 0;
    if (seen_ < 10 * entries || seen_ < 1000) return;
    const double ratio = static_cast<double>(hits_) / static_cast<double>(seen_);
    const double change = ratio - before_;
    const double by = change >= 0 ? step_ : -step_;
    share_ = std::fmin(most_, std::fmax(least_, share_ + by));
    step_ = std::fabs(change) >= 0.05 ? std::copysign(0.0625, by) : 0.98 * by;
    before_ = ratio;
    seen_ = 0;
    hits_ = 0;
  }

  double share() const { return share_; }

private:
  double share_;
  double least_;
  double most_;
  double step_{0.0625};
  double before_{0};
  std::uint64_t seen_{0};
  std::uint64_t hits_{0};
};

}  // namespace millrace::policies
