#ifndef RECKON_COMMON_NET_PLAN_HEALTH_H_
#define RECKON_COMMON_NET_PLAN_HEALTH_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "proto/coordinator.pb.h"
#include "proto/rollout.pb.h"

namespace reckon {

// An actor that has not called for so long is not live; actors call every two seconds.
inline constexpr absl::Duration kActorGone = absl::Seconds(4);

// What a plan's owner concludes from the coordinator's status while it waits for a batch: that the
// plan cannot continue, or what it waits for. An actor is live when it called within four seconds;
// actors call every two. The version that a plan needs is its pinned one, else the newest.
//
//   what the status shows                                  conclusion
//   a newer learner term has begun                         failure: ABORTED
//   every live actor refuses the version, or takes no      failure: an actor's reason
//   work because its rewards fail, for two seconds
//   no group is complete, and as many as a batch holds,    failure: the error of the last attempt
//   or all of an ended plan, were set aside
//   no status for 1.5 seconds                              waits: the coordinator does not answer
//   no actor is live                                       waits: no actor is connected
//   every live actor waits for something, or refuses       waits: what the first of them says
//   samples are leased, none was accepted for a minute     waits: samples
//
// What may heal is no failure, however long it lasts. Pure: the time is an argument. One thread;
// PlanWatch asks the coordinator and owns it.
class PlanHealth {
 public:
  // `term` is that of the learner group that owns the plan; 0: no group.
  PlanHealth(PlanSpec spec, uint64_t term) : spec_(std::move(spec)), term_(term) {}

  // The answer to one question for the status, or why there was none.
  void Note(const absl::StatusOr<GetStatusReply>& status, absl::Time now);

  // FAILED_PRECONDITION, or ABORTED: the plan cannot continue; it stays so. One line for the user.
  const absl::Status& failure() const { return failure_; }
  // For humans; empty: nothing is missing.
  const std::string& waiting_for() const { return waiting_for_; }

 private:
  void NoteStatus(const GetStatusReply& status, const PlanStatus& plan, absl::Time now);
  void NoteGroups(const PlanStatus& plan);
  void NoteActors(const GetStatusReply& status, absl::Time now);
  void NoteSamples(const GetStatusReply& status, const PlanStatus& plan, absl::Time now);

  const PlanSpec spec_;
  const uint64_t term_;
  absl::Status failure_;
  std::string waiting_for_;
  std::optional<absl::Time> begin_;          // the first Note
  std::optional<absl::Time> answered_;       // the last status
  std::optional<absl::Time> refused_since_;  // by every live actor
  uint64_t accepted_ = 0;                    // samples, and since when
  absl::Time accepted_since_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_NET_PLAN_HEALTH_H_
