#ifndef RECKON_LEARNER_PARALLEL_RENDEZVOUS_STORE_H_
#define RECKON_LEARNER_PARALLEL_RENDEZVOUS_STORE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/stop.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// The key-value store by which c10d's ranks find each other, kept by the coordinator's Rendezvous
// call under one term of the learner group, so that no rank has to open a port for it. Owned by the
// process group; thread-safe. Calls are retried while the coordinator is unreachable, for at most
// the store's timeout (5 minutes unless c10d sets another). Errors, and a stop, are thrown as
// c10::DistStoreError, as c10d expects.
class RendezvousStore : public c10d::Store {
 public:
  RendezvousStore(std::shared_ptr<Coordinator::StubInterface> stub, uint64_t term,
                  std::stop_token stop);

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
  // One call, retried until the coordinator answers, the timeout passes or a stop is requested.
  RendezvousReply Call(RendezvousRequest request);
  // A GET or WAIT, repeated until the keys exist.
  RendezvousReply Await(RendezvousRequest request, std::chrono::milliseconds timeout);

  const std::shared_ptr<Coordinator::StubInterface> stub_;
  const uint64_t term_;
  const std::stop_token stop_;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_PARALLEL_RENDEZVOUS_STORE_H_
