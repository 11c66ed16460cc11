#pragma once

#include "pipeline_run.hpp"

#include <vector>

namespace pipeline {

/// Prints what became of the files: a line a queue, the dead letters with their reasons, the best
/// connected terms, and where to look next.
void print_report(const std::vector<tracked_job>& jobs, const tracked_job& graph);

}  // namespace pipeline
