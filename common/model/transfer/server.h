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
#include "common/net/security.h"
#include "grpcpp/grpcpp.h"
#include "proto/weight_source.grpc.pb.h"

namespace reckon {

// Serves weight versions by the WeightSource service, on a port of its own. Owned by the learner's
// publisher and by `reckon eval`; actors fetch from it (fetch.h). Thread-safe.
//
//   Start -> address() goes into the manifest's sources -> Add(version) -> FetchChunks .. -> Drop
class WeightServer : private WeightSource::Service {
 public:
  // `listen` is "host:port"; port 0 is any free one. `announce` is the host at which others reach
  // it, by the rules of AnnouncedAddress. INVALID_ARGUMENT: one of them is no such text.
  // FAILED_PRECONDITION: plain text, and not on loopback. UNAVAILABLE: the port is taken.
  static absl::StatusOr<std::unique_ptr<WeightServer>> Start(
      const std::string& listen, const std::shared_ptr<const Security>& security,
      const std::string& announce = "");
  // Waits at most one second for the transfers in progress.
  ~WeightServer() override;

  // host:port at which others reach it, with the port in use.
  const std::string& address() const { return address_; }
  uint64_t bytes_sent() const { return bytes_sent_; }  // of chunks
  // Holds the version in memory until Drop.
  void Add(uint64_t version, Weights weights);
  // A transfer in progress still ends; later calls get NOT_FOUND.
  void Drop(uint64_t version);

 private:
  WeightServer() = default;
  absl::Status Listen(const std::string& listen, const std::shared_ptr<const Security>& security,
                      const std::string& announce);
  grpc::Status FetchChunks(grpc::ServerContext* context, const FetchChunksRequest* request,
                           grpc::ServerWriter<WeightChunk>* writer) override;
  std::shared_ptr<const Weights> Find(uint64_t version);

  std::atomic<uint64_t> bytes_sent_ = 0;
  absl::Mutex mu_;
  std::map<uint64_t, std::shared_ptr<const Weights>> versions_ ABSL_GUARDED_BY(mu_);
  std::string address_;                   // set by Listen
  std::unique_ptr<grpc::Server> server_;  // last: its calls end before the versions are freed
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_TRANSFER_SERVER_H_
