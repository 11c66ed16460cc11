#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace pipeline {

/// Which folders are gone through, and how many files of each are taken at the most.
struct source {
  std::filesystem::path folder;
  std::size_t files_max{1000};
};

struct planned_file {
  std::filesystem::path file;
  /// `document`, `audio` or `video`.
  std::string queue;
};

/// The regular files below the sources, in a fixed order, spread evenly over a folder that holds
/// more than its share. Hidden files and folders, links, and what cannot be listed are left out.
[[nodiscard]] std::vector<planned_file> plan_run(const std::vector<source>& sources);

}  // namespace pipeline
