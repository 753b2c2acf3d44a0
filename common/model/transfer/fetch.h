#ifndef RECKON_COMMON_MODEL_TRANSFER_FETCH_H_
#define RECKON_COMMON_MODEL_TRANSFER_FETCH_H_

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/files/model_folder.h"
#include "common/model/transfer/server.h"
#include "common/net/security.h"
#include "proto/weights.pb.h"

namespace reckon {

// Gets what it can of a version in another way than from a WeightServer: fills chunks of `buffer`,
// calls `good` for each that matches its digest, on any thread, and returns when it writes no more.
using ReceiveChunks =
    std::function<void(const WeightManifest& manifest, char* buffer, const std::stop_token& stop,
                       const std::function<void(uint64_t chunk)>& good)>;

struct FetchOptions {
  // Called before the first chunk of a source and after each chunk that was checked, on any thread.
  std::function<void(const std::string& source)> progress = [](const std::string&) {};
  // Serves the version to others from the first chunk on, and has it when the fetch has ended well;
  // null: nobody does. A version that was mapped is not its business: its publisher serves it.
  WeightServer* relay = nullptr;
  // Actors that hold the version or are fetching it, tried before the manifest's sources.
  std::vector<std::string> relays = {};
  // PackedForm::Layout of what this process computes from; empty: it packs itself.
  std::string packed_layout = {};
  // A version that this process holds, of the same term; a source that holds it too sends what has
  // changed since, where that is less. Null: none.
  const Weights* older = nullptr;
  // Asked first; null: nobody.
  ReceiveChunks receive = nullptr;
};

// Fetches a weight version: maps the publisher's memory where this process can reach it, with what
// the publisher has packed in the layout asked for; or else takes what a broadcast brings
// (options.receive) and fetches the other chunks from the relays and the sources that the manifest
// names (server.h), in their order. Checks each chunk against its digest, so that a source need not
// be trusted; one on another host needs SHA-256. `security` says which sources are of this run; in
// plain text, only those on loopback are asked. A source that fails is followed by the next, which
// has the chunks that are still missing; those that were unreachable are tried a second time.
// Blocks; actors call it on a thread of its own. Thread-safe. Errors:
//   INVALID_ARGUMENT     the manifest is inconsistent; no call was made
//   FAILED_PRECONDITION  the manifest names no source, or has no SHA-256 for a source elsewhere
//   RESOURCE_EXHAUSTED   no memory for the weights
//   DATA_LOSS            a source sent damaged chunks and no other source had them
//   CANCELLED            stopped
//   another              the last error of the last source, e.g. NOT_FOUND: it dropped the version
absl::StatusOr<Weights> FetchWeights(const WeightManifest& manifest,
                                     const std::shared_ptr<const Security>& security,
                                     std::stop_token stop, const FetchOptions& options = {});

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_TRANSFER_FETCH_H_
