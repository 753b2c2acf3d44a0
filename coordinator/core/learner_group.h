#ifndef RECKON_COORDINATOR_CORE_LEARNER_GROUP_H_
#define RECKON_COORDINATOR_CORE_LEARNER_GROUP_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "coordinator/store/store.h"
#include "proto/coordinator.pb.h"

namespace reckon {

// The ranks of the learner term, each in one of these states:
//
//   absent --its first heartbeat--> present --"leaving"--> gone, and not missed
//                                      |
//                                      +--silent for the timeout, or says that it fails-->
//                                                        the term has ended, for all ranks
//
// An absent rank is not missed: how long the others wait for it is their own affair. Which ranks
// are present is in the store, so a coordinator that was restarted knows whom to expect: they have
// the timeout and a few seconds more to call again.
//
// A rank is silent only while the coordinator itself was awake. When Tick was not called for a
// while (a machine that slept, a disk that hung, a clock that was set), no rank could be heard, and
// the gap counts for none.
//
// Part of CoreState; not thread-safe. Memory: one entry a rank.
class LearnerGroup {
 public:
  LearnerGroup(const Store* store, absl::Duration timeout) : store_(store), timeout_(timeout) {}
  absl::Status Restore();

  // A new term begins, without ranks.
  void Clear(Writes& writes);

  // A rank calls, or leaves. `request` was checked.
  void Note(const HeartbeatRequest& request, absl::Time now, Writes& writes);

  // Why the term must end now, for humans: "rank 2 on node-7 has not been heard of for 15.2 s".
  // Empty: it need not. Called every few milliseconds.
  std::string Tick(absl::Time now);
  // The same for a rank that says that it fails.
  std::string Failed(const HeartbeatRequest& request) const;

  // Those present, by number.
  void List(absl::Time now, GetStatusReply* reply) const;

  absl::Duration timeout() const { return timeout_; }

 private:
  struct Rank {
    std::string host;
    bool left = false;
    // After a restart of the coordinator: later than that, by the time that ranks have to call.
    absl::Time heard = absl::InfiniteFuture();
  };

  const Store* store_;
  const absl::Duration timeout_;
  std::map<uint32_t, Rank> ranks_;
  absl::Time last_tick_ = absl::InfiniteFuture();  // no Tick yet
};

}  // namespace reckon

#endif  // RECKON_COORDINATOR_CORE_LEARNER_GROUP_H_
