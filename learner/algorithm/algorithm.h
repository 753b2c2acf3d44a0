#ifndef RECKON_LEARNER_ALGORITHM_ALGORITHM_H_
#define RECKON_LEARNER_ALGORITHM_ALGORITHM_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/config/stage_info.h"
#include "common/model/config.h"
#include "learner/context/context.h"
#include "learner/data/run_data.h"
#include "learner/sampling/selection.h"

namespace reckon {

// One stage of a run: what it samples and how the policy learns from it. The rest of the learner
// knows stages through this interface and the (stage_kind) option alone, so that a new kind takes
//
//   1. proto/config.proto: its settings, a message with the (stage_kind) option, in Stage.kind;
//   2. learner/algorithm/<kind>/: a subclass, and its .cc in learner/CMakeLists.txt;
//   3. learner/algorithm/registry.cc: one line.
//
// The Learner's calls; it does itself what is in brackets:
//
//   Check                                     for each stage, before anything is sampled
//   Begin, [restore]                          the stage begins, or the run resumes in it
//   Round, [version, checkpoint, publish], Published, [evaluation]            rounds() times
//
// It makes one object to run the stage, and others only to ask the const methods; one thread uses
// them.
class Algorithm {
 public:
  // `stage`: index in config.stage; the config outlives the algorithm.
  Algorithm(const RunConfig& config, int stage) : config_(config), stage_index_(stage) {}
  virtual ~Algorithm() = default;

  // How many rounds the stage has, and the word for one in names ("ei_1 round 2", "ppo_1 step 50");
  // empty: the stage is its only round.
  virtual int64_t rounds() const { return 1; }
  virtual std::string round_word() const { return ""; }
  // Whether each round makes a new version of the policy; see StageKind in proto/options.proto.
  bool updates_policy() const { return StageInfo(stage()).traits().trains() == StageKind::POLICY; }
  // Whether a checkpoint must follow the round, whatever the time since the last one, and whether
  // the round's version is evaluated.
  virtual bool SavesAfter(int64_t round) const { return true; }
  virtual bool EvaluatesAfter(int64_t round) const { return true; }
  // Whether the next round trains the parameters on as they are: adapters stay over the same
  // weights, so the round's version can be published as these adapters.
  virtual bool ContinuesAfter(int64_t round) const { return false; }

  // What would fail later, found before the run samples: settings that the model's shape does not
  // allow, problems that the stage cannot use. One line that names the setting or the problem.
  virtual absl::Status Check(const ModelConfig& model, const RunData& data) const {
    return absl::OkStatus();
  }
  // How many problems, the first ones of the training data, have their worked solutions learned.
  virtual int64_t WorkedSolutions(const RunData& data) const { return 0; }
  // The selections that the stage records, one a round; later stages may train on them.
  virtual std::vector<SampledRound> SampledRounds(const RunData& data) const { return {}; }
  // Token that evaluations force before each solution step of the stage's policy; none: empty.
  virtual std::vector<uint32_t> StepLabel(const RunData& data) const { return {}; }

  // Before parameters are restored from a checkpoint: adds the stage's own to ranks.run.extra.
  virtual absl::Status Begin(RankContext& ranks) { return absl::OkStatus(); }
  // Updates ranks.run.model by round cursor.round. After an interruption the same round is called
  // again: what the coordinator has recorded of it is used, not sampled again.
  virtual absl::Status Round(RankContext& ranks) = 0;
  // The round's version is published and, with `saved`, in a checkpoint.
  virtual absl::Status Published(RankContext& ranks, bool saved) { return absl::OkStatus(); }
  // Optimizer state that continues in the next round; null: none does.
  virtual const AdamMoments* moments() const { return nullptr; }

 protected:
  const Stage& stage() const { return config_.stage(stage_index_); }

  const RunConfig& config_;
  const int stage_index_;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_ALGORITHM_H_
