#ifndef RECKON_TESTS_SUPPORT_FAULT_INJECTOR_H_
#define RECKON_TESTS_SUPPORT_FAULT_INJECTOR_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpcpp/grpcpp.h"
#include "proto/coordinator.pb.h"

namespace reckon {

// Sits in the channel between a client under test and the coordinator, records what passes and
// injects faults:
//
//   client -> [record, delay] -> coordinator -> [record, edit, fail] -> client
//
// A call that is made to fail has reached the coordinator and only its reply is lost, which is the
// harder case for a client that retries. A verb is the name of an rpc in proto/coordinator.proto.
// Thread-safe; outlives its channels.
class FaultInjector {
 public:
  using Key = std::tuple<std::string, uint64_t, uint32_t>;  // plan, group, sample

  std::shared_ptr<grpc::Channel> NewChannel(const std::string& address);

  // The n-th call of `verb` from now on (1: the next) ends with `status`.
  void FailCall(const std::string& verb, int n, absl::Status status);
  // Every call of `verb` starts `delay` later.
  void DelayCalls(const std::string& verb, absl::Duration delay);
  // The reply that acknowledges the rollout after the next `rollouts` ones is lost, and the stream
  // with it.
  void BreakStreamAfter(int rollouts);
  // Acknowledgements are lost while this is set.
  void DropAcks(bool drop);
  // Rollouts of this plan are acknowledged as REJECTED with the message "not liked".
  void RejectPlan(const std::string& plan);

  // Calls of `verb` that were started, answered or not.
  int calls(const std::string& verb) const;
  // The requests of `verb` that the coordinator answered with OK, in the order of the answers.
  template <typename Request>
  std::vector<Request> answered(const std::string& verb) const {
    absl::MutexLock lock(&mu_);
    std::vector<Request> requests;
    auto found = answered_.find(verb);
    if (found == answered_.end()) return requests;
    for (const std::string& bytes : found->second) requests.emplace_back().ParseFromString(bytes);
    return requests;
  }
  // The rollouts that the coordinator acknowledged as ACCEPTED or DUPLICATE.
  std::map<Key, Rollout> received() const;
  // How often a rollout was sent.
  int copies(const Key& key) const;
  // Rollouts of the largest message that was sent.
  int largest_message() const;

 private:
  class Factory;
  class Call;

  void Started(const std::string& verb);
  void Sent(const std::string& verb, const std::string& bytes);
  // Returns true when the stream must break.
  bool EditReply(SubmitReply& reply);
  void Ended(const std::string& verb, const std::string& request, grpc::Status* status);

  mutable absl::Mutex mu_;
  std::map<std::string, std::map<int, absl::Status>> failures_ ABSL_GUARDED_BY(mu_);  // by call
  std::map<std::string, absl::Duration> delays_ ABSL_GUARDED_BY(mu_);
  std::set<std::string> rejected_plans_ ABSL_GUARDED_BY(mu_);
  int break_after_ ABSL_GUARDED_BY(mu_) = -1;
  bool drop_acks_ ABSL_GUARDED_BY(mu_) = false;
  std::map<std::string, int> started_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, int> ended_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, std::vector<std::string>> answered_ ABSL_GUARDED_BY(mu_);
  std::map<Key, Rollout> sent_ ABSL_GUARDED_BY(mu_);
  std::map<Key, Rollout> received_ ABSL_GUARDED_BY(mu_);
  std::map<Key, int> copies_ ABSL_GUARDED_BY(mu_);
  int largest_message_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_FAULT_INJECTOR_H_
