#ifndef RECKON_COMMON_MODEL_TRANSFER_CHUNK_STREAMS_H_
#define RECKON_COMMON_MODEL_TRANSFER_CHUNK_STREAMS_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/model/files/model_folder.h"
#include "common/net/security.h"
#include "grpcpp/grpcpp.h"
#include "proto/weights.pb.h"

namespace reckon {

// Fetches the missing chunks of a version from one source, over several connections at once (one
// has one core's worth of TLS and of copying, and one flow-control window). Each connection makes
// one call after another, for a few chunks each. gRPC's threads copy a chunk from the wire to its
// place in the buffer and check its digest there, so neither a call nor a check waits for a thread.
//
//   missing chunks --ranges--> call --chunk, checked--> arrived(chunk)
//         ^----------- what a call did not bring -----------'
//
// Made for one fetch (fetch.cc), which calls From for one source after another. One thread.
class ChunkStreams {
 public:
  // `buffer` has manifest.total_bytes. `older`: a version of the same size, against which a source
  // may send differences; null: none. `arrived` is called on gRPC's threads, once for each chunk.
  ChunkStreams(const WeightManifest& manifest, const Weights* older,
               std::shared_ptr<const Security> security, std::stop_token stop, char* buffer,
               std::function<void(uint64_t)> arrived);

  // A chunk that was missing has come in another way. Thread-safe.
  void Have(uint64_t chunk);
  bool complete();

  // Fetches no differences from now on; false: it did not before.
  bool ForgetOlder() { return std::exchange(older_, nullptr) != nullptr; }

  // Fetches until nothing is missing, or the source fails: it refuses, sends what does not match
  // its digest, or sends nothing for `silence`.
  absl::Status From(const std::string& source, Service service, absl::Duration silence);

 private:
  class Call;
  struct Range {
    uint64_t first = 0, end = 0;
  };

  // The next call of a connection; false: there is nothing to do, and the connection is done.
  bool TakeRange(Range* range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // A chunk of a call is in its place. False: the source has failed.
  bool OnChunk(uint64_t chunk, const absl::Status& checked);
  // A call has ended. True: its connection continues with the range. False: this may be destroyed.
  bool OnEnd(std::shared_ptr<grpc::ClientContext> call, const absl::Status& status, Range* range);
  bool Over() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return running_ == 0; }

  const WeightManifest& manifest_;
  const Weights* older_;
  const std::shared_ptr<const Security> security_;
  const std::stop_token stop_;
  char* const buffer_;
  const std::function<void(uint64_t)> arrived_;
  // One a connection. gRPC's threads hold none of them when From returns, so that a channel is
  // destroyed on this thread.
  std::vector<std::shared_ptr<grpc::Channel>> channels_;

  absl::Mutex mu_;
  std::set<uint64_t> missing_ ABSL_GUARDED_BY(mu_);  // chunks
  std::deque<Range> ranges_ ABSL_GUARDED_BY(mu_);    // asked by no call yet
  int running_ ABSL_GUARDED_BY(mu_) = 0;             // connections
  absl::Status failure_ ABSL_GUARDED_BY(mu_);        // the first of this source
  absl::Time moved_ ABSL_GUARDED_BY(mu_);            // the last chunk arrived
  std::set<std::shared_ptr<grpc::ClientContext>> calls_ ABSL_GUARDED_BY(mu_);
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_TRANSFER_CHUNK_STREAMS_H_
