#ifndef RECKON_TESTS_SUPPORT_IN_PROCESS_COORDINATOR_H_
#define RECKON_TESTS_SUPPORT_IN_PROCESS_COORDINATOR_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "coordinator/service/server.h"
#include "proto/coordinator.grpc.pb.h"
#include "tests/support/fault_injector.h"
#include "tests/support/memory_store.h"

namespace reckon {

// The real coordinator (core and gRPC service) on a store in memory, for tests of its clients. It
// listens on a free port of loopback and can be stopped and started again with what it stored.
// Clients under test get their stubs from here, so that `faults` sees every call of theirs:
//
//   InProcessCoordinator coordinator;
//   coordinator.Publish(manifest);
//   coordinator.AddPlan(spec, items);
//   coordinator.faults().BreakStreamAfter(7);
//   Actor actor(options, coordinator.NewStub().get(), ...);
//
// The test itself acts as the learner through the methods below; a call of these that fails ends
// the program. Thread-safe, but for Stop and Start.
class InProcessCoordinator {
 public:
  explicit InProcessCoordinator(CoreOptions core = {});
  ~InProcessCoordinator();

  void Stop();
  void Start();                                            // on the same port
  const std::string& address() const { return address_; }  // for clients without faults
  FaultInjector& faults() { return faults_; }
  std::shared_ptr<Coordinator::StubInterface> NewStub();

  // ---- the learner's part ----
  uint64_t BeginTerm();
  // Publishes in the current term.
  void Publish(WeightManifest manifest);
  // Opens a plan of these groups, numbered from 0, and ends it.
  void AddPlan(const PlanSpec& spec, std::vector<WorkItem> items);
  void ClosePlan(const std::string& plan);

  // ---- an actor's part ----
  std::vector<Lease> LeaseWork(const std::string& actor, uint32_t max_samples);

  // ---- what clients under test did ----
  GetStatusReply status();
  std::map<std::string, PlanSpec> plans() const;
  std::map<uint64_t, WeightManifest> weights() const;
  std::map<std::string, GetSelectionReply> selections();
  int renewals(uint64_t lease) const;
  std::map<uint64_t, std::string> returned() const;  // lease -> error

 private:
  CoreOptions core_;
  MemoryStore store_;
  FaultInjector faults_;
  std::string address_ = "127.0.0.1:0";
  std::unique_ptr<CoordinatorServer> server_;
  std::unique_ptr<Coordinator::Stub> stub_;
};

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_IN_PROCESS_COORDINATOR_H_
