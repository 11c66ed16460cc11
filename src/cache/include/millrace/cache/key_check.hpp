#pragma once

#include <millrace/base/error.hpp>
#include <millrace/engine/store.hpp>
#include <millrace/secrets/key_ring.hpp>

namespace millrace::cache {

/// The project in whose cache it is kept which key wrote last. Nobody else uses it.
inline constexpr const char* key_check_project = "millrace.keys";

/// Whether the ring has the key that what is in the store was encrypted with last, and notes its
/// newest as that. Called once, at start, on a thread that may block.
///
/// Errors: precondition_failed (`wrong_encryption_key`); those of the store.
[[nodiscard]] result<void> check_keys(engine::store& store, const secrets::key_ring& ring);

}  // namespace millrace::cache
