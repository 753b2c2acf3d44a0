#ifndef RECKON_COMMON_MODEL_BROADCAST_RENDEZVOUS_STORE_H_
#define RECKON_COMMON_MODEL_BROADCAST_RENDEZVOUS_STORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/stop.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// One call to who keeps the keys of a group (common/net/rendezvous.h), tried again while that one
// does not answer, for `patience` at most.
using RendezvousCall = std::function<absl::Status(const RendezvousRequest& request,
                                                  absl::Duration patience, RendezvousReply* reply)>;

// The keys of a term of the learner group, which the coordinator keeps, so that no rank has to open
// a port for them.
RendezvousCall RendezvousOfTerm(std::shared_ptr<Coordinator::StubInterface> stub, uint64_t term,
                                std::stop_token stop);

// The key-value store by which the members of a c10d group find each other. Owned by the process
// group; thread-safe. A key is waited for as long as `patience`, since members that connect have
// met: when it does not come, one of them is lost, or the keys are. Errors, and a stop, are thrown
// as c10::DistStoreError, as c10d expects.
class RendezvousStore : public c10d::Store {
 public:
  RendezvousStore(RendezvousCall call, absl::Duration patience);

  c10::intrusive_ptr<c10d::Store> clone() override;
  void set(const std::string& key, const std::vector<uint8_t>& value) override;
  std::vector<uint8_t> compareSet(const std::string& key, const std::vector<uint8_t>& expected,
                                  const std::vector<uint8_t>& desired) override;
  std::vector<uint8_t> get(const std::string& key) override;
  int64_t add(const std::string& key, int64_t value) override;
  bool deleteKey(const std::string& key) override;
  bool check(const std::vector<std::string>& keys) override;
  int64_t getNumKeys() override;
  void wait(const std::vector<std::string>& keys) override;
  void wait(const std::vector<std::string>& keys,
            const std::chrono::milliseconds& timeout) override;

 private:
  RendezvousReply Call(RendezvousRequest request);
  // A GET or WAIT, repeated until the keys exist.
  RendezvousReply Await(RendezvousRequest request, std::chrono::milliseconds timeout);

  const RendezvousCall call_;
  const absl::Duration patience_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_BROADCAST_RENDEZVOUS_STORE_H_
