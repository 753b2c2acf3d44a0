#ifndef RECKON_LEARNER_PARALLEL_COORDINATOR_STORE_H_
#define RECKON_LEARNER_PARALLEL_COORDINATOR_STORE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/stop_token.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// The ranks' rendezvous through the coordinator's Store call, scoped to one learner epoch, so that
// no port has to be opened for it. Thread-safe. Calls are retried while the coordinator is away;
// errors are thrown as c10::DistStoreError, as c10d expects of a store.
class CoordinatorStore : public c10d::Store {
 public:
  CoordinatorStore(std::shared_ptr<Coordinator::StubInterface> stub, uint64_t epoch,
                   const StopToken* stop);

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
  // One call, repeated until the coordinator answers, the store's timeout passes, or stop.
  StoreReply Call(StoreRequest request);
  // GET and WAIT: until the keys are there.
  StoreReply Await(StoreRequest request, std::chrono::milliseconds timeout);

  const std::shared_ptr<Coordinator::StubInterface> stub_;
  const uint64_t epoch_;
  const StopToken* const stop_;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_PARALLEL_COORDINATOR_STORE_H_
