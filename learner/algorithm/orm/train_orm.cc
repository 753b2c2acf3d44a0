#include "learner/algorithm/orm/train_orm.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/sigmoid.h>

#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/files.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "learner/algorithm/fine_tune.h"
#include "learner/algorithm/registry.h"
#include "learner/context/shared_device.h"
#include "learner/data/checks.h"
#include "learner/evaluate/calibration.h"
#include "learner/experience/orm_rewards.h"
#include "learner/experience/solution.h"
#include "learner/loss/reward_loss.h"
#include "learner/publish/snapshot.h"
#include "learner/run/model_cards.h"
#include "learner/run/versions.h"
#include "learner/update/scoring.h"

namespace reckon {
namespace {

// Whether the label is known: a reference that cannot be parsed says nothing about the solution.
bool HasLabel(const Rollout& rollout) {
  return !rollout.rewards().empty() && rollout.rewards(0).verdict() != VERDICT_UNSPECIFIED &&
         rollout.rewards(0).verdict() != REFERENCE_UNPARSABLE;
}

}  // namespace

absl::Status TrainOrm::Check(const ModelConfig& model, const RunData& data) const {
  // A sequence of predictions has one token more than the solution.
  return CheckSequencesFit(data, *data.prompt, settings_.sampling().max_new_tokens() + 1,
                           "orm.sampling.max_new_tokens + 1 =", stage().training());
}

std::vector<SampledRound> TrainOrm::SampledRounds(const RunData& data) const {
  const int64_t first =
      settings_.skip_sft_problems() ? EarlierWorkedSolutions(config_, stage_index_, data) : 0;
  return {MakeSampledRound(config_, data, stage().name(), first, settings_.prompts(), 0)};
}

absl::Status TrainOrm::Begin(RankContext& ranks) {
  CheckHasDevice(ranks.run);
  const Transformer& model = *ranks.run.model;
  head_ = std::make_unique<RewardHead>(model.config().hidden_size, DeviceOf(model.backend()));
  ranks.run.extra = WholeTensors(head_->parameters());
  return absl::OkStatus();
}

absl::Status TrainOrm::Sample(LeaderContext& leader, const SampledRound& round) const {
  if (round.problems.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(RoundTitle(leader.run), ": earlier sft stages learned every problem; limit ",
                     "them with sft.limit, or set orm.skip_sft_problems: false"));
  }
  SelectionRule rule;
  rule.samples_per_prompt = settings_.samples_per_prompt();
  rule.sampling = settings_.sampling();
  *rule.rewards.Add() = settings_.reward();
  // A reward model learns from wrong solutions too. Equal texts of one problem are learned once, so
  // a frequent solution does not count more.
  rule.threshold = -std::numeric_limits<double>::infinity();
  rule.dedup = EiSettings::TEXT;
  rule.formatter = &*leader.data.prompt;
  return SampleRound(leader, round, rule);
}

absl::StatusOr<TrainOrm::Labelled> TrainOrm::Collect(LeaderContext& leader,
                                                     const SampledRound& round) const {
  const StepTokens steps(*leader.data.tokenizer);
  const bool at_steps = settings_.predict_at() == OrmSettings::STEP_ENDS;
  const CounterRng rng(StreamKey(config_.seed(), round.name + "/held_out"));
  Labelled out;
  RETURN_IF_ERROR(ReadRound(leader, round, [&](size_t, const Rollout& rollout) {
    if (!HasLabel(rollout)) return;
    const float label = rollout.rewards(0).verdict() == CORRECT ? 1 : 0;
    // By problem and not by sample: a solution of a problem that was trained on would measure
    // memory.
    const bool held_out = rng.Uniform(rollout.key().group()) < settings_.held_out();
    (held_out ? out.held_out : out.learned)
        .push_back(PredictionSequence(SolutionOf(rollout), label, at_steps ? &steps : nullptr));
  }));
  size_t right = 0;
  for (const TrainingSequence& sequence : out.learned) right += sequence.target == 1;
  if (right > 0 && right < out.learned.size()) return out;
  return absl::FailedPreconditionError(absl::StrCat(
      RoundTitle(leader.run), ": ", right, " of ", out.learned.size(),
      " solutions to learn from are right, so there is nothing to tell apart; raise ",
      "orm.samples_per_prompt or orm.sampling.temperature, or put an sft stage before this one"));
}

absl::Status TrainOrm::Measure(RankContext& ranks, std::vector<TrainingSequence> held_out) const {
  RunState& run = ranks.run;
  // Before the test below: only the leader knows whether there are held-out solutions, and all
  // ranks must decide alike.
  RETURN_IF_ERROR(BroadcastSequences(ranks.parallel, &held_out));
  if (held_out.empty()) return absl::OkStatus();
  CheckHasDevice(run);
  std::vector<const TrainingSequence*> batch;
  for (const TrainingSequence& sequence : held_out) batch.push_back(&sequence);
  TokenValues probabilities;
  RETURN_IF_ERROR(ScoreTokens(
      *run.model, ranks.parallel, batch, run.config.learner().micro_batch_tokens(),
      {.logprobs = false}, nullptr,
      [this](const MicroBatch&, const TokenStates& states) {
        return at::sigmoid(head_->Forward(states.hidden));
      },
      &probabilities));
  std::vector<Prediction> predictions;
  double right = 0, accurate = 0;
  for (size_t i = 0; i < batch.size(); ++i) {
    // The prediction after the last token is that of the whole solution.
    const Prediction p = {probabilities[i].back(), batch[i]->target == 1};
    right += p.right;
    accurate += (p.probability > 0.5) == p.right;
    predictions.push_back(p);
  }
  const auto samples = static_cast<double>(predictions.size());
  const double auc = AreaUnderCurve(predictions), error = CalibrationError(predictions);
  run.reporter->AddLine(absl::StrFormat(
      "%s: on %d held-out solutions, %.1f%% right: AUC %.3f  accuracy %.1f%%  calibration error "
      "%.3f",
      RoundTitle(run), predictions.size(), 100 * right / samples, auc, 100 * accurate / samples,
      error));
  return run.reporter->Write({{"orm/held_out", samples},
                              {"orm/right_ratio", right / samples},
                              {"orm/auc", auc},
                              {"orm/accuracy", accurate / samples},
                              {"orm/calibration_error", error},
                              {"orm/brier", BrierScore(predictions)}});
}

absl::Status TrainOrm::Write(LeaderContext& leader, const NamedTensors& merged) const {
  RunState& run = leader.run;
  const std::string folder = RewardModelFolder(run, stage().name());
  RETURN_IF_ERROR(MakeFolders(run.run_dir + "/orm"));
  VersionBuffers buffers;
  ASSIGN_OR_RETURN(Weights weights,
                   TakeSnapshot(run.base, merged, {.compute = run.model->compute()}, &buffers));
  AddModelCards(leader, ModelCard::Kind::kRewardModel, stage().name(), &weights.side_files);
  RETURN_IF_ERROR(
      WriteModelFolder(folder, weights.manifest, weights.bytes->bytes(), weights.side_files));
  RETURN_IF_ERROR(head_->Write(folder));
  run.reporter->AddLine(absl::StrCat(RoundTitle(run), ": written to ", folder));
  return absl::OkStatus();
}

absl::Status TrainOrm::Round(RankContext& ranks) {
  Labelled labelled;
  if (ranks.leader != nullptr) {
    const SampledRound round = SampledRounds(ranks.leader->data).front();
    // In TRAIN the selection is complete, see run/resume.h.
    if (ranks.run.cursor.phase() == Cursor::BEGIN) RETURN_IF_ERROR(Sample(*ranks.leader, round));
    ASSIGN_OR_RETURN(labelled, Collect(*ranks.leader, round));
  }
  RewardLoss loss(settings_.loss(), head_.get());
  RETURN_IF_ERROR(FineTune(ranks, std::move(labelled.learned),
                           {.restart_from = settings_.restart_from(), .loss = &loss}));
  RETURN_IF_ERROR(Measure(ranks, std::move(labelled.held_out)));
  const NamedTensors merged = WeightsForLeader(ranks);
  if (ranks.leader != nullptr) RETURN_IF_ERROR(Write(*ranks.leader, merged));
  // The weights under adapters may be all that fits.
  if (ranks.run.model->adapted()) return absl::OkStatus();
  return LoadVersion(ranks.run, ranks.parallel, ranks.run.cursor.version());
}

}  // namespace reckon
