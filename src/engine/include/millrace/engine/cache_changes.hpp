#pragma once

#include <millrace/base/clock.hpp>

#include <string_view>

namespace millrace::engine {

/// Hears of what changes in the cache, whoever changes it, so that what a process keeps of it in
/// its own memory can follow.
///
/// An engine that several processes share tells of every change from a moment on that `found` marks
/// until `lost`. Between two changes it says how far it has told: whoever has asked `begin_mark`
/// before a round trip to the store gives it back by `mark` after it, and then everything that was
/// answered to a writer before `begin_mark` has been told.
///
/// Threading:  called from one thread of the engine at a time; must be short and must not block.
/// Lifetime:   must outlive the store that tells it.
class cache_observer {
public:
  virtual ~cache_observer() = default;

  /// From now on changes are told. Whatever was known before may be old.
  virtual void found() = 0;
  /// Changes are no longer told.
  virtual void lost() = 0;

  [[nodiscard]] virtual timestamp begin_mark() = 0;
  virtual void mark(timestamp begun) = 0;

  /// An entry was put, dropped, or has expired.
  virtual void key_changed(std::string_view project, std::string_view key) = 0;
  /// Some tag of the project was invalidated, or the project cleared; which, is being found out,
  /// and told before `tags_known`. Answers whether that is of interest.
  [[nodiscard]] virtual bool tags_in_doubt(std::string_view project) = 0;
  virtual void tags_known(std::string_view project) = 0;
  virtual void tag_invalidated(std::string_view project, std::string_view tag) = 0;
  virtual void project_cleared(std::string_view project) = 0;
  virtual void all_cleared() = 0;
};

}  // namespace millrace::engine
