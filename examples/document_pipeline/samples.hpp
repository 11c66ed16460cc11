#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace pipeline {

struct sample_set {
  /// Every file made, broken ones included.
  std::vector<std::filesystem::path> files;
  /// The one whose upload has not finished: `<file>.part` lies beside it until `finish_upload`.
  std::filesystem::path late;
};

/// Writes small PDF, WAV, AVI, HTML, gzip and Markdown files into `directory`, some of them broken
/// on purpose, so that every processor and every way to fail has something to show.
[[nodiscard]] sample_set make_samples(const std::filesystem::path& directory);

/// The late sample is complete from now on.
void finish_upload(const sample_set& samples);

}  // namespace pipeline
