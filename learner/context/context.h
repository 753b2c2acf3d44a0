#ifndef RECKON_LEARNER_CONTEXT_CONTEXT_H_
#define RECKON_LEARNER_CONTEXT_CONTEXT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/device_turn.h"
#include "common/base/stop.h"
#include "common/model/files/model_folder.h"
#include "common/model/transformer.h"
#include "common/net/plan_client.h"
#include "learner/checkpoint/checkpoint.h"
#include "learner/checkpoint/checkpoint_writer.h"
#include "learner/data/run_data.h"
#include "learner/parallel/membership.h"
#include "learner/parallel/parallel.h"
#include "learner/publish/publisher.h"
#include "learner/report/reporter.h"
#include "learner/update/policy_update.h"
#include "proto/config.pb.h"
#include "proto/coordinator.grpc.pb.h"
#include "proto/weights.pb.h"

namespace reckon {

// What a stage works with on one rank, in three structs, so that the compiler knows which functions
// all ranks must call together:
//
//   RunState       local to every rank. Nothing in it waits for another rank.
//   LeaderContext  RunState and what rank 0 alone has: data, run folder, publisher. Leads to no
//                  collective, so a function of the leader cannot hang the group.
//   RankContext    RunState, the collectives, and the leader's part, null on other ranks.
//
// A function that takes RankContext& (or Parallel&) is a collective: every rank calls it, in the
// same order. All three are owned by the Learner, passed by reference, and used by its one thread.

class RewardModel;

struct RunState {
  RunConfig config;
  std::string run_dir;  // the leader's; empty on other ranks, which reach no file of the run
  absl::Duration checkpoint_interval = absl::Minutes(2);
  int64_t checkpoint_steps = 0;  // also after this many optimizer steps; 0: by time alone
  uint64_t term = 0;
  std::stop_token stop;
  std::stop_token group_stop;  // of collectives; see Membership
  // Whether every rank reaches run_dir, so that it reads and writes its own part of a checkpoint.
  bool all_reach_run_dir = true;
  CheckpointWriter* writer = nullptr;

  DeviceTurn* turn = nullptr;          // on the device; null: it is this rank's alone
  bool turns_taken = false;            // by this rank or another: equal on all
  std::weak_ptr<PolicyUpdate> update;  // the optimizer that was made last
  DeviceWeights shared_weights;        // of `model`; no handle: it is not shared
  int64_t version_generation = -1;     // of `model`, when it was shared_weights.version
  Transformer* model = nullptr;        // the policy, or what is trained in its place
  Weights base;                        // version 0, the model folder
  // What the model packed last where actors on this host can map it; null: in its own memory.
  std::shared_ptr<WeightBytes> packed;
  bool published_adapters = false;               // the newest version, as RunStages has decided
  absl::Time trained_at = absl::InfinitePast();  // when the last optimizer step of a round ended
  TrainedTensors extra;                          // trained beside the model: heads of this stage
  std::shared_ptr<RewardModel> reward_model;     // the one last used, see OpenRewardModel
  std::string reward_model_name;
  std::string round_word;        // "round", "step"; empty: the stage has one round
  Cursor cursor;                 // equal on all ranks, except for step, evals and lines
  Reporter* reporter = nullptr;  // the leader's writes, the others' are silent
  // The checkpoint that the run resumes from, until all of it is restored; see resume.h.
  std::optional<Checkpoint> resume;
  absl::Time saved_at = absl::Now();  // when the newest one began to be written, or the run began
  Cursor saved;                       // of the newest checkpoint that is durable
  std::optional<Cursor> saving;       // of the one that is being written

  const Stage& stage() const { return config.stage(static_cast<int>(cursor.stage())); }
};

struct LeaderContext {
  RunState& run;
  Coordinator::StubInterface& coordinator;
  PlanClient& plans;
  Publisher& publisher;
  const RunData& data;
  Membership& membership;
  // Plans that ended since the last checkpoint, with their last batch. The next checkpoint covers
  // them: they become `covered` when it begins to be written, and are marked durable when it is.
  std::map<std::string, uint64_t> uncovered_plans = {}, covered_plans = {};
  std::set<uint64_t> kept_versions = {};  // by keep_evaluated; see KeepEvaluated
  // The version that was published last, until it is on disk or being written; see KeepPublished.
  // Empty for one that was published as adapters.
  bool on_disk = true;
  std::optional<Weights> unwritten = std::nullopt;
};

struct RankContext {
  RunState& run;
  Parallel& parallel;
  LeaderContext* leader;         // null: this rank is not the leader
  RankGroup* senders = nullptr;  // of RankGroups
};

// Name of the weights, folder and evaluation that the cursor's round makes: "sft_1",
// "ei_1_round_2", "ppo_1_step_50".
std::string RoundName(const RunState& run);
// The same for humans: "sft_1", "ei_1 round 2", "ppo_1 step 50".
std::string RoundTitle(const RunState& run);

// What the matrix products of the run's models are computed in.
Dtype ComputeType(const RunConfig& config);

// What is trained of the model, then run.extra: the order of checkpoints and of the optimizer.
TrainedTensors AllTrained(const RunState& run);

// Marks leader.covered_plans durable, unless the save that covers them is still running: then
// SettleSave does it (run/resume.h).
absl::Status TellDurable(LeaderContext& leader);

// Whether this rank takes part in what needs the whole model: the leader, and of a sharded model
// the ranks that divide it with the leader, for which it is a collective.
bool HelpsWithWholeModel(const RankContext& ranks);
// What the leader decided, on every rank; a collective.
absl::StatusOr<bool> AsLeader(RankContext& ranks, bool decision);
// Whether a rank has been asked to stop, on every rank at the same point of the run; a collective.
absl::StatusOr<bool> AnyStops(RankContext& ranks);
// What ends the run of this rank when AnyStops: CANCELLED where its program is stopped, else an
// error of a collective, whose cause Membership::End finds.
absl::Status Stopped(const RunState& run);

}  // namespace reckon

#endif  // RECKON_LEARNER_CONTEXT_CONTEXT_H_
