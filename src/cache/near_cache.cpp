#include <millrace/cache/near_cache.hpp>

#include "near_entry.hpp"
#include "text_hash.hpp"

#include <millrace/engine/cache_steps.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <limits>
#include <utility>
#include <variant>

namespace millrace::cache {
namespace {

constexpr std::int64_t for_ever = std::numeric_limits<std::int64_t>::max();
/// So many entries are kept between two looks for what has expired, and so many looked at.
constexpr std::uint32_t keeps_a_sweep = 256;
constexpr std::size_t swept_at_once = 64;

// Since the machine was booted, sleep included: what it measures ends while the machine sleeps.
class boot_clock final : public clock_source {
public:
  [[nodiscard]] timestamp now() const noexcept override {
    timespec at{};
    ::clock_gettime(CLOCK_BOOTTIME, &at);
    return timestamp{std::chrono::seconds{at.tv_sec} +
                     std::chrono::duration_cast<duration>(std::chrono::nanoseconds{at.tv_nsec})};
  }
  [[nodiscard]] bool ticks() const noexcept override { return true; }
};

const clock_source& machine_clock() {
  static const boot_clock clock;
  return clock;
}

std::size_t place_of(std::string_view project, std::size_t places) noexcept {
  return static_cast<std::size_t>(text_hash(project, 0)) % places;
}

}  // namespace

struct near_cache::project {
  explicit project(std::string_view its_name) : name(its_name) {}

  const std::string name;
  /// Its tags were invalidated, and it is not known yet which.
  std::atomic<bool> in_doubt{false};
};

near_cache::near_cache(const near_options& with, std::unique_ptr<local_cache> kept)
    : with_(with),
      clock_(with.clock == nullptr ? machine_clock() : *with.clock),
      kept_(std::move(kept)) {
  if (with_.source == near_source::own) covered_until_ = for_ever;
}

near_cache::~near_cache() = default;

result<std::unique_ptr<near_cache>> near_cache::make(near_options options) {
  if (options.age_max < near_age_min || options.age_max > near_age_max) {
    return invalid("age_max", fmt::format("age_max must be {} ms to {} min.", near_age_min.count(),
                                          near_age_max.count()));
  }
  if (options.outage_for < duration{0} || options.outage_for > engine::cache_ttl_max) {
    return invalid("outage_for", "outage_for must be 0 to a year.");
  }
  auto kept = local_cache::make({.bytes = options.bytes});
  if (!kept) return std::unexpected(std::move(kept.error()));
  return std::unique_ptr<near_cache>(new near_cache(options, std::move(*kept)));
}

near_cache::project* near_cache::find_project(std::string_view name) const noexcept {
  const std::size_t first = place_of(name, projects_.size());
  for (std::size_t i = 0; i < projects_.size(); ++i) {
    project* const there =
        projects_[(first + i) % projects_.size()].load(std::memory_order_acquire);
    if (there == nullptr || there->name == name) return there;
  }
  return nullptr;
}

near_cache::project* near_cache::add_project(std::string_view name) {
  if (project* const there = find_project(name)) return there;
  const std::scoped_lock lock(adding_);
  if (owned_.size() >= near_projects_max) return find_project(name);
  std::size_t place = place_of(name, projects_.size());
  while (project* const there = projects_[place].load(std::memory_order_acquire)) {
    if (there->name == name) return there;
    place = (place + 1) % projects_.size();
  }
  project* const made = owned_.emplace_back(std::make_unique<project>(name)).get();
  projects_[place].store(made, std::memory_order_release);
  return made;
}

bool near_cache::covers(timestamp now) const noexcept {
  return to_micros(now) < covered_until_.load(std::memory_order_acquire);
}

bool near_cache::is_told() const { return covers(clock_.now()); }

std::optional<near_hit> near_cache::find(const engine::cache_key& at, bool stale) {
  const timestamp now = clock_.now();
  if (!near_name::fits(at.project, at.key) || !covers(now)) return std::nullopt;
  const project* const of = find_project(at.project);
  if (of == nullptr || of->in_doubt.load(std::memory_order_acquire)) return std::nullopt;
  const near_name name(at.project, at.key);
  const local_hit hit = kept_->get(name.text(), now);
  // A loss since the look makes everything stale.
  if (!hit || (hit.stale && (!stale || lost_.load(std::memory_order_acquire)))) return std::nullopt;
  return near_hit{.what = unpack_near(hit.value, hit.stale),
                  .age = std::max(duration{0}, now - hit.value.created_at())};
}

std::optional<near_hit> near_cache::find_in_outage(const engine::cache_key& at) {
  if (!near_name::fits(at.project, at.key)) return std::nullopt;
  const timestamp now = clock_.now();
  const near_name name(at.project, at.key);
  const local_hit hit = kept_->get(name.text(), now);
  if (!hit || hit.value.outage_for() == duration{0}) return std::nullopt;
  return near_hit{.what = unpack_near(hit.value, true),
                  .age = std::max(duration{0}, now - hit.value.created_at())};
}

near_cache::ticket near_cache::take_ticket() const noexcept {
  return {.since = kept_->ticket(), .taken = clock_.now()};
}

void near_cache::keep(const engine::cache_key& at, const engine::cache_entry& what, ticket since,
                      timestamp store_now, const near_terms& terms) {
  if (lost_.load(std::memory_order_acquire) || !near_name::fits(at.project, at.key)) return;
  if (add_project(at.project) == nullptr) return;
  cached_value value = pack_near(at, what, since.taken, store_now,
                                 terms.outage_for.value_or(with_.outage_for), terms);
  const timestamp now = clock_.now();
  if (value) static_cast<void>(kept_->put(std::move(value), since.since, now));
  if (keeps_.fetch_add(1, std::memory_order_relaxed) % keeps_a_sweep == 0) {
    static_cast<void>(kept_->sweep(now, swept_at_once));
  }
}

// What the store tells.

void near_cache::found() {
  // Nothing is given until the first mark.
  covered_until_.store(0, std::memory_order_release);
  kept_->source_restored();
  lost_.store(false, std::memory_order_release);
}

void near_cache::lost() {
  covered_until_.store(0, std::memory_order_release);
  lost_.store(true, std::memory_order_release);
  kept_->source_lost(clock_.now());
}

timestamp near_cache::begin_mark() { return clock_.now(); }

void near_cache::mark(timestamp begun) {
  const std::int64_t until = to_micros(begun + with_.age_max);
  if (with_.source == near_source::told && covered_until_.load(std::memory_order_acquire) < until) {
    covered_until_.store(until, std::memory_order_release);
  }
}

void near_cache::key_changed(std::string_view project, std::string_view key) {
  if (!near_name::fits(project, key)) return;
  const near_name name(project, key);
  kept_->evict(name.text());
}

bool near_cache::tags_in_doubt(std::string_view name) {
  project* const of = find_project(name);
  if (of == nullptr) {
    // Nothing of it is kept, but something may be on its way from before the change.
    project_cleared(name);
    return false;
  }
  of->in_doubt.store(true, std::memory_order_seq_cst);
  return true;
}

void near_cache::tags_known(std::string_view name) {
  project* const of = find_project(name);
  if (of != nullptr) of->in_doubt.store(false, std::memory_order_release);
}

void near_cache::tag_invalidated(std::string_view project, std::string_view tag) {
  kept_->evict_tag(near_tag(project, tag));
}

void near_cache::project_cleared(std::string_view project) {
  kept_->evict_tag(near_tag(project, near_all_tag));
}

void near_cache::all_cleared() { kept_->flush(); }

// What goes through this process.

namespace {

template <class... Fs>
struct overloaded : Fs... {
  using Fs::operator()...;
};

bool changes_the_cache(const engine::step& one) {
  return std::holds_alternative<engine::put_cache>(one) ||
         std::holds_alternative<engine::delete_cache>(one) ||
         std::holds_alternative<engine::invalidate_tag>(one) ||
         std::holds_alternative<engine::delete_matching>(one) ||
         std::holds_alternative<engine::clear_cache>(one);
}

// What is remembered of a step until it is answered: the address without what is put there.
engine::step address_of(const engine::step& one) {
  if (const auto* put = std::get_if<engine::put_cache>(&one)) {
    return engine::delete_cache{.at = put->at};
  }
  return one;
}

}  // namespace

void near_cache::forget(const engine::step& done) {
  std::visit(
      overloaded{
          [this](const engine::put_cache& put) { key_changed(put.at.project, put.at.key); },
          [this](const engine::delete_cache& gone) { key_changed(gone.at.project, gone.at.key); },
          [this](const engine::invalidate_tag& tagged) {
            tag_invalidated(tagged.project, tagged.tag);
          },
          [this](const engine::delete_matching& matching) {
            const std::string root = matching.project + "/";
            kept_->evict_where([&](std::string_view name) {
              return name.starts_with(root) &&
                     engine::matches_glob(matching.pattern, name.substr(root.size()));
            });
          },
          [this](const engine::clear_cache& all) { project_cleared(all.project); },
          [](const auto&) {}},
      done);
}

near_store::near_store(std::unique_ptr<engine::store> behind, near_cache& near)
    : near_(near), behind_(std::move(behind)) {}

near_store::~near_store() = default;

void near_store::submit(std::vector<engine::transaction> batch, commit_handler done) {
  std::vector<engine::step> changes;
  for (const engine::transaction& each : batch) {
    for (const engine::step& one : each.steps) {
      if (changes_the_cache(one)) changes.push_back(address_of(one));
    }
  }
  if (changes.empty()) return behind_->submit(std::move(batch), std::move(done));
  // Whatever became of them: one that was refused because of its version shows that what is kept
  // here may be old, and one without an answer may have happened.
  behind_->submit(std::move(batch),
                  [&near = near_, changes = std::move(changes),
                   done = std::move(done)](std::vector<engine::commit_result> results) mutable {
                    for (const engine::step& one : changes) near.forget(one);
                    done(std::move(results));
                  });
}

void near_store::ask(engine::query what, answer_handler done) {
  behind_->ask(std::move(what), std::move(done));
}

}  // namespace millrace::cache
