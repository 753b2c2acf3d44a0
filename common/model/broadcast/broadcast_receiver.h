#ifndef RECKON_COMMON_MODEL_BROADCAST_BROADCAST_RECEIVER_H_
#define RECKON_COMMON_MODEL_BROADCAST_BROADCAST_RECEIVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "common/model/broadcast/broadcast_group.h"
#include "common/net/security.h"
#include "grpcpp/grpcpp.h"
#include "proto/weight_broadcast.grpc.pb.h"
#include "proto/weights.pb.h"

namespace reckon {

struct BroadcastReceiverOptions {
  std::string member;  // HOST:PORT at which this actor serves weights; its host is the interface
  bool gpu = false;    // it computes on a GPU, and so NCCL may use that
  std::shared_ptr<const Security> security;
  absl::Duration silence = kBroadcastSilence;
};

// An actor's end of broadcasts (learner/publish/broadcaster.h is the learner's):
//
//   Join at the learner --group, rank--> connect, unless still connected --> Pass, check chunks
//
// What a broadcast does not bring is fetched from the tree afterwards (common/model/transfer/
// fetch.h): all of it from a learner that does not broadcast, which is asked once in its term, and
// the rest after an error, which is logged. Called by the fetch of one WeightsClient; one thread.
class BroadcastReceiver {
 public:
  explicit BroadcastReceiver(BroadcastReceiverOptions options) : options_(std::move(options)) {}

  // Fills what a broadcast brings of the version into `buffer`, which is not written any more when
  // this returns. `good` is called for each chunk that has come and was checked, on any thread.
  void Receive(const WeightManifest& manifest, char* buffer, const std::stop_token& stop,
               const std::function<void(uint64_t chunk)>& good);

 private:
  absl::Status Get(const WeightManifest& manifest, char* buffer, const std::stop_token& stop,
                   const std::function<void(uint64_t)>& good);
  // Connects to the learner of this manifest.
  absl::Status Find(const WeightManifest& manifest);
  absl::Status Connect(const JoinBroadcastReply& place, const std::stop_token& stop);

  const BroadcastReceiverOptions options_;
  std::string learner_;  // address and term of stub_
  std::shared_ptr<WeightBroadcast::StubInterface> stub_;
  bool broadcasts_ = true;  // that learner does
  int unanswered_ = 0;      // calls to it, in a row
  std::string group_name_;  // of group_
  std::unique_ptr<BroadcastGroup> group_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_BROADCAST_BROADCAST_RECEIVER_H_
