#pragma once

#include "outcome.hpp"

#include <boost/json/object.hpp>

#include <functional>
#include <string_view>

namespace pipeline {

/// Tells how far a job is: 0 to 1, and what is being done.
using report_progress = std::function<void(double, std::string_view)>;

/// Does the work of one job of any of the four queues: `process_file` on `document`, `audio` and
/// `video` (data `{"path": …}`), `relate_terms` on `graph` (data `{"documents": [[[term,
/// count]…]…]}`).
[[nodiscard]] outcome<boost::json::object> process_job(const boost::json::object& job,
                                                       const report_progress& report);

}  // namespace pipeline
