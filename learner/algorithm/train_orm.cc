#include "learner/algorithm/train_orm.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/sigmoid.h>

#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/files.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "learner/algorithm/fine_tune.h"
#include "learner/algorithm/orm_rewards.h"
#include "learner/algorithm/selection.h"
#include "learner/orm/calibration.h"
#include "learner/orm/reward_loss.h"
#include "learner/orm/solution.h"
#include "learner/publish/snapshot.h"
#include "learner/update/scoring.h"

namespace reckon {
namespace {

SelectionRule RuleOf(const LearnerContext& context, const OrmSettings& settings) {
  SelectionRule rule;
  rule.samples_per_prompt = settings.samples_per_prompt();
  rule.sampling = settings.sampling();
  *rule.rewards.Add() = settings.reward();
  rule.threshold = -std::numeric_limits<double>::infinity();
  rule.dedup = EiSettings::TEXT;
  rule.formatter = &*context.data->prompt;
  return rule;
}

// The wrong may be untrue: what the data cannot judge teaches nothing.
bool Judged(const Rollout& rollout) {
  return !rollout.rewards().empty() && rollout.rewards(0).verdict() != VERDICT_UNSPECIFIED &&
         rollout.rewards(0).verdict() != REFERENCE_UNPARSABLE;
}

}  // namespace

absl::Status TrainOrm::Begin(LearnerContext& context) {
  head_ = std::make_unique<RewardHead>(context.model->config().hidden_size,
                                       DeviceOf(context.model->backend()));
  context.extra = head_->parameters();
  return absl::OkStatus();
}

absl::Status TrainOrm::Collect(LearnerContext& context, std::vector<TrainingSequence>* learned,
                               std::vector<TrainingSequence>* held_out) const {
  const SampledRound round = RoundsOf(context, context.stage()).front();
  if (round.problems.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(RoundTitle(context), ": earlier sft stages learned every problem; limit them ",
                     "with sft.limit, or set orm.skip_sft_problems: false"));
  }
  if (context.cursor.phase == Cursor::kBegin) {
    RETURN_IF_ERROR(SampleRound(context, round, RuleOf(context, settings_)));
  }
  const StepTokens steps(*context.data->tokenizer);
  const bool at_steps = settings_.predict_at() == OrmSettings::STEP_ENDS;
  const CounterRng rng(StreamKey(context.config.seed(), round.record + "/held_out"));
  RETURN_IF_ERROR(ReadRound(context, round, [&](const Problem&, const Rollout& rollout) {
    if (!Judged(rollout)) return;
    const float target = rollout.rewards(0).verdict() == CORRECT ? 1 : 0;
    const bool held = rng.Uniform(rollout.key().group()) < settings_.held_out();
    (held ? held_out : learned)
        ->push_back(JudgedSequence(SolutionOf(rollout), target, at_steps ? &steps : nullptr));
  }));
  size_t right = 0;
  for (const TrainingSequence& sequence : *learned) right += sequence.target == 1;
  if (right > 0 && right < learned->size()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(RoundTitle(context), ": ", right, " of ", learned->size(),
                   " solutions to learn from are right, so there is nothing to tell apart; raise ",
                   "orm.samples_per_prompt or orm.sampling.temperature, or put sft in front"));
}

absl::Status TrainOrm::Measure(LearnerContext& context, std::vector<TrainingSequence> held_out) {
  RETURN_IF_ERROR(ShareSequences(context, &held_out));
  if (held_out.empty()) return absl::OkStatus();
  std::vector<const TrainingSequence*> batch;
  for (const TrainingSequence& sequence : held_out) batch.push_back(&sequence);
  TokenValues probabilities;
  RETURN_IF_ERROR(ScoreTokens(
      *context.model, *context.parallel, batch, context.config.learner().micro_batch_tokens(),
      {.logprobs = false}, nullptr,
      [this](const MicroBatch&, const TokenStates& states) {
        return at::sigmoid(head_->Forward(states.hidden));
      },
      &probabilities));
  std::vector<Prediction> predictions;
  double right = 0, accurate = 0;
  for (size_t i = 0; i < batch.size(); ++i) {
    const Prediction p = {probabilities[i].back(), batch[i]->target == 1};
    right += p.right;
    accurate += (p.probability > 0.5) == p.right;
    predictions.push_back(p);
  }
  const auto samples = static_cast<double>(predictions.size());
  const double auc = AreaUnderCurve(predictions), error = CalibrationError(predictions);
  context.reporter->AddLine(absl::StrFormat(
      "%s: on %d held-out solutions, %.1f%% right: AUC %.3f  accuracy %.1f%%  calibration error "
      "%.3f",
      RoundTitle(context), predictions.size(), 100 * right / samples, auc, 100 * accurate / samples,
      error));
  return context.reporter->Write({{"orm/held_out", samples},
                                  {"orm/right_ratio", right / samples},
                                  {"orm/auc", auc},
                                  {"orm/accuracy", accurate / samples},
                                  {"orm/calibration_error", error},
                                  {"orm/brier", BrierScore(predictions)}},
                                 &context.cursor.step);
}

absl::Status TrainOrm::Write(LearnerContext& context) const {
  if (context.parallel->rank() != 0) return absl::OkStatus();
  const std::string folder = RewardModelFolder(context, context.stage().name());
  RETURN_IF_ERROR(MakeFolders(context.run_dir + "/orm"));
  RETURN_IF_ERROR(WriteSnapshot(folder, context.base.manifest, context.model->compute(),
                                context.model->MergedWeights()));
  RETURN_IF_ERROR(head_->Write(folder));
  context.reporter->AddLine(absl::StrCat(RoundTitle(context), ": written to ", folder));
  return absl::OkStatus();
}

absl::Status TrainOrm::Round(LearnerContext& context) {
  std::vector<TrainingSequence> learned, held_out;
  if (context.parallel->rank() == 0) RETURN_IF_ERROR(Collect(context, &learned, &held_out));
  RewardLoss loss(settings_.loss(), head_.get());
  RETURN_IF_ERROR(FineTune(context, settings_.restart_from(), std::move(learned), &loss));
  RETURN_IF_ERROR(Measure(context, std::move(held_out)));
  RETURN_IF_ERROR(Write(context));
  return LoadVersion(context, context.cursor.version);  // the policy is what it was
}

}  // namespace reckon
