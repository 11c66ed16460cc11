#include "run_plan.hpp"

#include "file_kind.hpp"

#include <algorithm>
#include <set>

namespace pipeline {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> files_below(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code failed;
  fs::recursive_directory_iterator at{folder, fs::directory_options::skip_permission_denied,
                                      failed};
  while (!failed && at != fs::recursive_directory_iterator{}) {
    const std::string name = at->path().filename().string();
    const bool hidden = name.starts_with('.') || name == "build" || name == "node_modules";
    std::error_code ignored;
    if (hidden && at->is_directory(ignored)) at.disable_recursion_pending();
    if (!hidden && at->is_regular_file(ignored) && !at->is_symlink(ignored)) {
      files.push_back(at->path());
    }
    at.increment(failed);
  }
  std::ranges::sort(files);
  return files;
}

}  // namespace

std::vector<planned_file> plan_run(const std::vector<source>& sources) {
  std::vector<planned_file> plan;
  std::set<fs::path> seen;
  for (const source& from : sources) {
    const std::vector<fs::path> files = files_below(from.folder);
    const std::size_t taken = std::min(files.size(), from.files_max);
    for (std::size_t i = 0; i < taken; ++i) {
      const fs::path& file = files[i * files.size() / taken];
      if (seen.insert(file).second) plan.push_back({file, std::string{queue_for(file)}});
    }
  }
  return plan;
}

}  // namespace pipeline
