#ifndef RECKON_ACTOR_FAKE_COORDINATOR_H_
#define RECKON_ACTOR_FAKE_COORDINATOR_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// A coordinator for tests of the actor: hands out the leases it was given, remembers what comes,
// and misbehaves when told to. In-process, on a free port of loopback. Thread-safe.
class FakeCoordinator : public Coordinator::Service {
 public:
  using Key = std::tuple<std::string, uint64_t, uint32_t>;

  FakeCoordinator();
  ~FakeCoordinator() override;

  // Stops and starts the server on the same port; what it knows is kept.
  void StopServer();
  void StartServer();
  std::string address() const;

  void AddLease(const reckon::Lease& lease, const PlanSpec& plan);
  void Publish(const WeightManifest& manifest);
  void SetEpoch(uint64_t epoch);
  void Lose(uint64_t lease);
  // After this many more rollouts were read, the stream is broken off without acknowledging the
  // last one, which counts as received all the same.
  void BreakStreamAfter(int rollouts);
  void RejectGroup(uint64_t group);
  void HoldAcks(bool hold);

  std::map<Key, Rollout> received();
  int copies(const Key& key);  // how often it came
  int streams();
  std::vector<LeaseRequest> lease_requests();
  int renewals(uint64_t lease);
  std::map<uint64_t, std::string> returned();  // lease -> error

  // Waits up to 10 s.
  bool Await(const std::function<bool()>& condition);

 private:
  grpc::Status Lease(grpc::ServerContext* context, const LeaseRequest* request,
                     LeaseReply* reply) override;
  grpc::Status RenewLeases(grpc::ServerContext* context, const RenewLeasesRequest* request,
                           RenewLeasesReply* reply) override;
  grpc::Status ReturnLeases(grpc::ServerContext* context, const ReturnLeasesRequest* request,
                            ReturnLeasesReply* reply) override;
  grpc::Status Submit(grpc::ServerContext* context,
                      grpc::ServerReaderWriter<SubmitReply, SubmitRequest>* stream) override;
  grpc::Status GetManifest(grpc::ServerContext* context, const GetManifestRequest* request,
                           GetManifestReply* reply) override;
  grpc::Status GetStatus(grpc::ServerContext* context, const GetStatusRequest* request,
                         GetStatusReply* reply) override;

  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  absl::Mutex mu_;
  std::deque<std::pair<reckon::Lease, PlanSpec>> leases_ ABSL_GUARDED_BY(mu_);
  std::map<uint64_t, WeightManifest> manifests_ ABSL_GUARDED_BY(mu_);
  uint64_t newest_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t epoch_ ABSL_GUARDED_BY(mu_) = 0;
  std::set<uint64_t> lost_ ABSL_GUARDED_BY(mu_);
  std::set<uint64_t> rejected_groups_ ABSL_GUARDED_BY(mu_);
  int break_after_ ABSL_GUARDED_BY(mu_) = -1;
  bool hold_acks_ ABSL_GUARDED_BY(mu_) = false;
  std::map<Key, Rollout> received_ ABSL_GUARDED_BY(mu_);
  std::map<Key, int> copies_ ABSL_GUARDED_BY(mu_);
  int streams_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<LeaseRequest> lease_requests_ ABSL_GUARDED_BY(mu_);
  std::map<uint64_t, int> renewals_ ABSL_GUARDED_BY(mu_);
  std::map<uint64_t, std::string> returned_ ABSL_GUARDED_BY(mu_);
};

}  // namespace reckon

#endif  // RECKON_ACTOR_FAKE_COORDINATOR_H_
