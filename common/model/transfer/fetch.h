#ifndef RECKON_COMMON_MODEL_TRANSFER_FETCH_H_
#define RECKON_COMMON_MODEL_TRANSFER_FETCH_H_

#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "absl/status/statusor.h"
#include "common/model/files/model_folder.h"
#include "common/net/security.h"
#include "proto/weights.pb.h"

namespace reckon {

// Fetches a weight version in chunks from the sources that its manifest names (server.h). Checks
// each chunk against its SHA-256, so that a source need not be trusted. `security` says which
// sources are of this run; in plain text, only those on loopback are asked. A source that fails is
// followed by the next, which continues at the first missing chunk; those that were unreachable are
// tried a second time. Blocks; actors call it on a thread of its own. Thread-safe. Errors:
//   INVALID_ARGUMENT     the manifest is inconsistent; no call was made
//   FAILED_PRECONDITION  the manifest names no source
//   RESOURCE_EXHAUSTED   no memory for the weights
//   DATA_LOSS            a source sent damaged chunks and no other source had them
//   CANCELLED            stopped
//   another              the last error of the last source, e.g. NOT_FOUND: it dropped the version
//
// `progress` is called before the first chunk of a source and after each chunk that was verified.
using FetchProgress = std::function<void(const std::string& source)>;
absl::StatusOr<Weights> FetchWeights(
    const WeightManifest& manifest, const std::shared_ptr<const Security>& security,
    std::stop_token stop, const FetchProgress& progress = [](const std::string&) {});

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_TRANSFER_FETCH_H_
