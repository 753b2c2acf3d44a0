#ifndef RECKON_COMMON_MODEL_TRANSFER_SERVER_H_
#define RECKON_COMMON_MODEL_TRANSFER_SERVER_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/model/files/model_folder.h"
#include "common/model/transfer/chunk_arrivals.h"
#include "common/net/security.h"
#include "grpcpp/grpcpp.h"
#include "proto/weight_source.grpc.pb.h"

namespace reckon {

// Serves weight versions by the WeightSource service, on a port of its own. Owned by the learner's
// publisher, by `reckon eval`, and by an actor that serves others; actors fetch from it (fetch.h).
// Thread-safe.
//
//   Start -> address() goes into the manifest's sources -> Add(version) -> FetchChunks .. -> Drop
//
// A call has no thread of its own: gRPC's threads send the next chunk when the last one has left.
// The message holds the version's own memory, not a copy; or the difference to the version that the
// caller has, if that is held here too and the difference is short (chunk_delta.h).
class WeightServer
    : private WeightSource::WithRawCallbackMethod_FetchChunks<WeightSource::Service> {
 public:
  // `listen` is "host:port"; port 0 is any free one. `announce` is the host at which others reach
  // it, by the rules of AnnouncedAddress. INVALID_ARGUMENT: one of them is no such text.
  // `also` is served on the same port, and must outlive it; null: nothing is. FAILED_PRECONDITION:
  // plain text, and not on loopback. UNAVAILABLE: the port is taken.
  static absl::StatusOr<std::unique_ptr<WeightServer>> Start(
      const std::string& listen, const std::shared_ptr<const Security>& security,
      const std::string& announce = "", grpc::Service* also = nullptr);
  // Waits at most one second for the transfers in progress.
  ~WeightServer() override;

  // host:port at which others reach it, with the port in use.
  const std::string& address() const { return address_; }
  uint64_t bytes_sent() const { return bytes_sent_; }  // of chunks
  // Holds the version in memory until Drop.
  void Add(uint64_t version, Weights weights);
  // The same for a version of which only some chunks are there: a call waits for each until it is
  // marked, and ends with UNAVAILABLE when it will not come.
  void AddArriving(uint64_t version, Weights weights, std::shared_ptr<ChunkArrivals> arrivals);
  // A transfer in progress still ends; later calls get NOT_FOUND.
  void Drop(uint64_t version);

 private:
  class Held;
  class Stream;

  WeightServer() = default;
  absl::Status Listen(const std::string& listen, const std::shared_ptr<const Security>& security,
                      const std::string& announce, grpc::Service* also);
  grpc::ServerWriteReactor<grpc::ByteBuffer>* FetchChunks(grpc::CallbackServerContext* context,
                                                          const grpc::ByteBuffer* request) override;
  std::shared_ptr<const Held> Find(uint64_t version);

  std::atomic<uint64_t> bytes_sent_ = 0;
  absl::Mutex mu_;
  std::map<uint64_t, std::shared_ptr<const Held>> versions_ ABSL_GUARDED_BY(mu_);
  std::string address_;                   // set by Listen
  std::unique_ptr<grpc::Server> server_;  // last: its calls end before the versions are freed
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_TRANSFER_SERVER_H_
