#include "common/net/permissions.h"

#include <algorithm>

namespace reckon {
namespace {

struct Row {
  absl::string_view method;
  bool learner, actor, user;  // may call it; the coordinator calls nobody
};

constexpr bool yes = true, no = false;

// A user reads and changes nothing. An actor sees the prompts of its leases and no rollout, not
// even its own.
// clang-format off
constexpr Row kTable[] = {
    //                                     learner actor user
    // What is learned from, in which order.
    {"/reckon.Coordinator/OpenPlan",        yes,   no,   no},
    {"/reckon.Coordinator/AppendGroups",    yes,   no,   no},
    {"/reckon.Coordinator/NextBatch",       yes,   no,   yes},
    {"/reckon.Coordinator/FetchRollouts",   yes,   no,   yes},
    {"/reckon.Coordinator/MarkApplied",     yes,   no,   no},
    {"/reckon.Coordinator/MarkDurable",     yes,   no,   no},
    {"/reckon.Coordinator/ClosePlan",       yes,   no,   no},
    {"/reckon.Coordinator/AppendSelection", yes,   no,   no},
    {"/reckon.Coordinator/GetSelection",    yes,   no,   yes},
    // Work.
    {"/reckon.Coordinator/Lease",           no,    yes,  no},
    {"/reckon.Coordinator/RenewLeases",     no,    yes,  no},
    {"/reckon.Coordinator/ReturnLeases",    no,    yes,  no},
    {"/reckon.Coordinator/Submit",          no,    yes,  no},
    // Weights.
    {"/reckon.Coordinator/PublishWeights",  yes,   no,   no},
    {"/reckon.Coordinator/GetManifest",     yes,   yes,  yes},
    {"/reckon.WeightSource/FetchChunks",    yes,   yes,  yes},
    {"/reckon.WeightBroadcast/Join",        no,    yes,  no},
    {"/reckon.WeightBroadcast/Meet",        no,    yes,  no},
    // A reward of the user's own, which a user serves; also asked by `reckon score-rewards`.
    {"/reckon.RewardService/Score",         no,    yes,  yes},
    {"/grpc.health.v1.Health/Check",        no,    yes,  yes},
    // The learner group.
    {"/reckon.Coordinator/BeginTerm",       yes,   no,   no},
    {"/reckon.Coordinator/Rendezvous",      yes,   no,   no},
    {"/reckon.Coordinator/Heartbeat",       yes,   no,   no},
    // Counts. An actor learns from them that another learner group has begun.
    {"/reckon.Coordinator/GetStatus",       yes,   yes,  yes},
};
// clang-format on

const Row* Find(absl::string_view method) {
  const auto* row = std::find_if(std::begin(kTable), std::end(kTable),
                                 [&](const Row& row) { return row.method == method; });
  return row == std::end(kTable) ? nullptr : row;
}

}  // namespace

bool MayCall(Role role, absl::string_view method) {
  const Row* row = Find(method);
  if (row == nullptr) return false;
  switch (role) {
    case Role::kLearner:
      return row->learner;
    case Role::kActor:
      return row->actor;
    case Role::kUser:
      return row->user;
    case Role::kCoordinator:
      return false;
  }
  return false;
}

bool HasRow(absl::string_view method) { return Find(method) != nullptr; }

}  // namespace reckon
