#ifndef RECKON_LEARNER_ALGORITHM_LEARNER_CONTEXT_H_
#define RECKON_LEARNER_ALGORITHM_LEARNER_CONTEXT_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "common/base/stop_token.h"
#include "common/model/transformer.h"
#include "common/plan/plan_client.h"
#include "common/weights/model_folder.h"
#include "learner/algorithm/run_data.h"
#include "learner/checkpoint/checkpoint.h"
#include "learner/parallel/parallel.h"
#include "learner/publish/publisher.h"
#include "learner/report/reporter.h"
#include "learner/update/policy_update.h"
#include "proto/config.pb.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

class RewardModel;

// Everything a stage works with, on one rank. Owned by the Learner, passed down by reference; one
// thread. What is for rank 0 alone is null on the others.
struct LearnerContext {
  RunConfig config;
  std::string run_dir;
  absl::Duration checkpoint_interval = absl::Minutes(2);
  int64_t checkpoint_steps = 0;  // also after this many optimizer steps; 0: by time alone
  uint64_t epoch = 0;
  const StopToken* stop = nullptr;

  Parallel* parallel = nullptr;
  Transformer* model = nullptr;
  Weights base;                               // version 0, the model folder
  NamedTensors extra;                         // parameters beside the model's: heads of this stage
  std::shared_ptr<RewardModel> reward_model;  // the one last used, see OpenRewardModel
  std::string reward_model_name;
  Cursor cursor;  // the same on all ranks but for step, evals and lines
  // The checkpoint that the run goes on from, until its stage has taken it up.
  std::optional<Checkpoint> resume;
  Reporter* reporter = nullptr;  // silent on other ranks

  Coordinator::StubInterface* stub = nullptr;  // rank 0
  PlanClient* plans = nullptr;                 // rank 0
  Publisher* publisher = nullptr;              // rank 0
  const RunData* data = nullptr;               // rank 0

  const Stage& stage() const { return config.stage(static_cast<int>(cursor.stage)); }
};

// "sft_1", "ei_1_round_2": name of what the cursor's stage and round make.
std::string RoundName(const LearnerContext& context);
// The same for people: "sft_1", "ei_1 round 2".
std::string RoundTitle(const LearnerContext& context);

// Saves the cursor with the model's parameters, context.extra, and `moments` if not null. Rank 0;
// nothing on the others.
absl::Status Save(LearnerContext& context, const AdamMoments* moments);

// Puts the parameters of context.resume into the model and context.extra; under adapters, after the
// weights they lie on. INVALID_ARGUMENT when they are another model's.
absl::Status Restore(LearnerContext& context);

// The weights of a published version, from disk.
absl::StatusOr<Weights> OpenVersion(const LearnerContext& context, uint64_t version);
// Makes them the model's, to be trained whole.
absl::Status LoadVersion(LearnerContext& context, uint64_t version);
// Puts the stage's adapters on the model, which holds `version`, if the stage trains adapters.
void Adapt(LearnerContext& context, uint64_t version);
// The newest version goes on to be trained as the stage says. Without adapters before and after it
// keeps what its published weights have lost to rounding.
absl::Status GoOn(LearnerContext& context);

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_LEARNER_CONTEXT_H_
