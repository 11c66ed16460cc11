#pragma once

#include <millrace/engine/job.hpp>

#include <string>

namespace millrace::worker_detail {

/// The job as handlers outside of this process get it: one line of JSON without its line end.
[[nodiscard]] std::string job_line(const engine::leased_job& leased);

/// The JSON text on one line.
[[nodiscard]] std::string on_one_line(std::string json);

}  // namespace millrace::worker_detail
