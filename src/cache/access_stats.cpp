#include <millrace/cache/access_stats.hpp>

#include "text_hash.hpp"

#include <millrace/base/assert.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <mutex>

namespace millrace::cache {

namespace {

// One place for each of the first threads, and a last one that all others share.
constexpr std::size_t own_places = 64;

// The lowest number that no living thread has.
class thread_number final {
public:
  thread_number() {
    const std::scoped_lock lock(held());
    auto& taken = places();
    const auto found = std::ranges::find(taken, false);
    at = static_cast<std::size_t>(found - taken.begin());
    if (at < own_places) taken[at] = true;
  }
  ~thread_number() {
    if (at >= own_places) return;
    const std::scoped_lock lock(held());
    places()[at] = false;
  }
  thread_number(const thread_number&) = delete;
  thread_number& operator=(const thread_number&) = delete;

  std::size_t at{own_places};

private:
  static std::mutex& held() {
    static std::mutex one;
    return one;
  }
  static std::array<bool, own_places>& places() {
    static std::array<bool, own_places> taken{};
    return taken;
  }
};

std::uint64_t next_number() noexcept {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

std::uint64_t micros(duration span) noexcept {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, span.count()));
}

std::size_t this_thread() {
  thread_local const thread_number own;
  return own.at;
}

}  // namespace

// What one thread counted; the last place is written by several.
class access_stats::counters final {
public:
  enum field : std::uint8_t {
    hits,
    stale,
    misses,
    loads,
    failed_loads,
    load_micros,
    stores,
    stored_bytes,
    stored_ttl_micros,
    evictions,
    unreadable,
    field_count
  };

  explicit counters(bool shared) : shared_(shared) {}

  void add(std::size_t family, field what, std::uint64_t by) {
    auto& one = values_[std::min(family, no_family)][what];
    if (shared_) {
      one.fetch_add(by, std::memory_order_relaxed);
    } else {
      // Nobody else writes it: a plain addition is enough.
      one.store(one.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
    }
  }
  [[nodiscard]] std::uint64_t get(std::size_t family, field what) const {
    return values_[family][what].load(std::memory_order_relaxed);
  }
  /// How much a call counts; zero: it is left out. The first ones count each, so that little use
  /// is told exactly; then one in `sample` on average counts for all of them.
  [[nodiscard]] std::uint64_t weight(std::uint64_t sample) {
    const std::uint64_t first = exact_.load(std::memory_order_relaxed);
    if (first < exact_max) [[unlikely]] {
      exact_.store(first + 1, std::memory_order_relaxed);
      return 1;
    }
    return draws(sample) ? sample : 0;
  }

private:
  /// Accesses of one thread that all count.
  static constexpr std::uint64_t exact_max = 4096;

  /// True once in `sample` calls on average, after a number of them that nobody foresees: keys in a
  /// fixed order would otherwise always meet the same turn.
  [[nodiscard]] bool draws(std::uint64_t sample) {
    const std::uint64_t left = left_.load(std::memory_order_relaxed);
    if (left > 1) [[likely]] {
      left_.store(left - 1, std::memory_order_relaxed);
      return false;
    }
    std::uint64_t state = random_.load(std::memory_order_relaxed);
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    random_.store(state, std::memory_order_relaxed);
    left_.store(1 + (state >> 8) % (2 * sample - 1), std::memory_order_relaxed);
    return true;
  }

  bool shared_;
  std::atomic<std::uint64_t> exact_{0};
  std::atomic<std::uint64_t> left_{0};
  std::atomic<std::uint64_t> random_{0x9e37'79b9'7f4a'7c15ULL};
  std::array<std::array<std::atomic<std::uint64_t>, field_count>, families_max + 1> values_{};
};

// About how often keys were asked for: the least of four counters of 16 bits.
class access_stats::access_sketch final {
public:
  std::uint64_t add(std::string_view key) {
    const std::uint64_t hash = text_hash(key, 2);
    std::uint16_t least = std::numeric_limits<std::uint16_t>::max();
    for (unsigned row = 0; row < rows; ++row) {
      auto& one = counts_[row * row_size + ((hash >> (16 * row)) & (row_size - 1))];
      std::uint16_t now = one.load(std::memory_order_relaxed);
      if (now < std::numeric_limits<std::uint16_t>::max()) {
        one.store(++now, std::memory_order_relaxed);
      }
      least = std::min(least, now);
    }
    return least;
  }
  [[nodiscard]] std::uint64_t get(std::string_view key) const {
    const std::uint64_t hash = text_hash(key, 2);
    std::uint16_t least = std::numeric_limits<std::uint16_t>::max();
    for (unsigned row = 0; row < rows; ++row) {
      const auto& one = counts_[row * row_size + ((hash >> (16 * row)) & (row_size - 1))];
      least = std::min(least, one.load(std::memory_order_relaxed));
    }
    return least;
  }
  void halve() {
    for (auto& one : counts_) {
      one.store(static_cast<std::uint16_t>(one.load(std::memory_order_relaxed) / 2),
                std::memory_order_relaxed);
    }
  }
  void clear() {
    for (auto& one : counts_) one.store(0, std::memory_order_relaxed);
  }

private:
  static constexpr unsigned rows = 4;
  static constexpr std::size_t row_size = 8192;
  std::array<std::atomic<std::uint16_t>, rows * row_size> counts_{};
};

double family_figures::hit_rate() const noexcept {
  const std::uint64_t all = hits + misses;
  return all == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(all);
}

duration family_figures::average_ttl() const noexcept {
  return stored == 0 ? duration{0} : stored_ttl / static_cast<std::int64_t>(stored);
}

duration family_figures::average_load_time() const noexcept {
  return loads == 0 ? duration{0} : load_time / static_cast<std::int64_t>(loads);
}

family_figures& family_figures::operator+=(const family_figures& other) noexcept {
  hits += other.hits;
  stale += other.stale;
  misses += other.misses;
  loads += other.loads;
  failed_loads += other.failed_loads;
  load_time += other.load_time;
  stored += other.stored;
  stored_bytes += other.stored_bytes;
  stored_ttl += other.stored_ttl;
  evictions += other.evictions;
  undecodable += other.undecodable;
  return *this;
}

family_figures& family_figures::operator-=(const family_figures& other) noexcept {
  hits -= other.hits;
  stale -= other.stale;
  misses -= other.misses;
  loads -= other.loads;
  failed_loads -= other.failed_loads;
  load_time -= other.load_time;
  stored -= other.stored;
  stored_bytes -= other.stored_bytes;
  stored_ttl -= other.stored_ttl;
  evictions -= other.evictions;
  undecodable -= other.undecodable;
  return *this;
}

access_stats::access_stats(std::uint64_t sample)
    : number_(next_number()),
      sample_(sample),
      threads_(own_places + 1),
      keys_(10 * top_keys_max),
      sketch_(std::make_unique<access_sketch>()),
      aged_at_(std::chrono::steady_clock::now().time_since_epoch().count()),
      cleared_(families_max + 1) {
  MILLRACE_ASSERT(std::has_single_bit(sample));
}

access_stats::~access_stats() {
  for (auto& one : threads_) delete one.load();
}

access_stats::counters& access_stats::own() {
  // What this thread used last; plain variables, because looking at one with a destructor costs.
  // A number is given once, so that statistics in the place of deleted ones are not taken for them.
  thread_local constinit std::uint64_t last_number = 0;
  thread_local constinit counters* last = nullptr;
  if (last_number == number_) [[likely]]
    return *last;
  const std::size_t place = this_thread();
  counters* there = threads_[place].load(std::memory_order_acquire);
  if (there == nullptr) {
    auto fresh = std::make_unique<counters>(place == own_places);
    if (threads_[place].compare_exchange_strong(there, fresh.get(), std::memory_order_acq_rel)) {
      there = fresh.release();
    }
  }
  last_number = number_;
  last = there;
  return *there;
}

void access_stats::sampled(counters& into, std::size_t family, std::string_view key, bool missed) {
  const std::uint64_t weight = into.weight(sample_);
  if (weight != 0) [[unlikely]]
    keys_.add(key, weight, family, missed);
}

void access_stats::hit(std::size_t family, std::string_view key, bool stale) {
  counters& into = own();
  into.add(family, counters::hits, 1);
  if (stale) into.add(family, counters::stale, 1);
  sampled(into, family, key, false);
}

void access_stats::miss(std::size_t family, std::string_view key) {
  counters& into = own();
  into.add(family, counters::misses, 1);
  sampled(into, family, key, true);
}

void access_stats::load(std::size_t family, duration took, bool failed) {
  counters& into = own();
  into.add(family, counters::loads, 1);
  if (failed) into.add(family, counters::failed_loads, 1);
  into.add(family, counters::load_micros, micros(took));
}

void access_stats::stored(std::size_t family, std::size_t bytes, duration ttl) {
  counters& into = own();
  into.add(family, counters::stores, 1);
  into.add(family, counters::stored_bytes, bytes);
  into.add(family, counters::stored_ttl_micros, micros(ttl));
}

void access_stats::evicted(std::size_t family) { own().add(family, counters::evictions, 1); }

void access_stats::undecodable(std::size_t family) { own().add(family, counters::unreadable, 1); }

std::uint64_t access_stats::count_access(std::string_view key) { return sketch_->add(key); }

std::uint64_t access_stats::accesses(std::string_view key) const { return sketch_->get(key); }

void access_stats::age() {
  sketch_->halve();
  keys_.halve();
}

void access_stats::age_when_due(std::chrono::steady_clock::time_point now) {
  using steady = std::chrono::steady_clock;
  steady::rep before = aged_at_.load(std::memory_order_relaxed);
  if (now.time_since_epoch() - steady::duration{before} < use_half_life) [[likely]]
    return;
  if (aged_at_.compare_exchange_strong(before, now.time_since_epoch().count())) age();
}

family_figures access_stats::figures(std::size_t family) const {
  const std::size_t place = std::min(family, no_family);
  const std::scoped_lock lock(cleared_held_);
  family_figures now = counted(place);
  now -= cleared_[place];
  return now;
}

void access_stats::clear() {
  {
    const std::scoped_lock lock(cleared_held_);
    for (std::size_t i = 0; i < cleared_.size(); ++i) cleared_[i] = counted(i);
  }
  keys_.clear();
  sketch_->clear();
}

family_figures access_stats::counted(std::size_t family) const {
  family_figures sum;
  for (const auto& one : threads_) {
    const counters* from = one.load(std::memory_order_acquire);
    if (from == nullptr) continue;
    const auto get = [&](counters::field what) { return from->get(family, what); };
    sum += {.hits = get(counters::hits),
            .stale = get(counters::stale),
            .misses = get(counters::misses),
            .loads = get(counters::loads),
            .failed_loads = get(counters::failed_loads),
            .load_time = duration{static_cast<std::int64_t>(get(counters::load_micros))},
            .stored = get(counters::stores),
            .stored_bytes = get(counters::stored_bytes),
            .stored_ttl = duration{static_cast<std::int64_t>(get(counters::stored_ttl_micros))},
            .evictions = get(counters::evictions),
            .undecodable = get(counters::unreadable)};
  }
  return sum;
}

family_figures access_stats::all() const {
  family_figures sum;
  for (std::size_t family = 0; family <= no_family; ++family) sum += figures(family);
  return sum;
}

std::vector<used_key> access_stats::top(std::size_t count) const {
  std::vector<used_key> made;
  for (heavy_hitter& one : keys_.top(count)) {
    made.push_back({std::move(one.key), one.tag, one.count, one.error, one.marked});
  }
  return made;
}

}  // namespace millrace::cache
