#include "learner/algorithm/rcrl.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "learner/algorithm/fine_tune.h"
#include "learner/algorithm/orm_rewards.h"
#include "learner/algorithm/selection.h"
#include "learner/algorithm/splice.h"

namespace reckon {
namespace {

constexpr size_t kScoredAtOnce = 256;  // rollouts

// Checked before the run began: one token.
uint32_t LabelToken(const RunData& data, const std::string& label) {
  return data.tokenizer->Encode(label, /*parse_special=*/true).front();
}

const Stage* FindStage(const RunConfig& config, const std::string& name) {
  for (const Stage& stage : config.stage()) {
    if (stage.name() == name) return &stage;
  }
  return nullptr;
}

double GoodShare(int64_t good, int64_t bad) {
  return static_cast<double>(good) / static_cast<double>(std::max<int64_t>(1, good + bad));
}

// Samples that wait to be judged.
struct Pending {
  std::vector<Solution> solutions;
  std::vector<TrainingSequence> sequences;  // the same under the training prompt
  std::vector<size_t> prompts;              // its length
};

}  // namespace

LabelledSequence LabelSteps(const TrainingSequence& sequence, size_t prompt,
                            const std::vector<bool>& good, const StepTokens& steps,
                            uint32_t good_label, uint32_t bad_label) {
  LabelledSequence out;
  size_t step = 0;
  for (size_t i = 0; i < sequence.tokens.size(); ++i) {
    const bool begins = i == prompt || (i > prompt && steps.End(sequence.tokens[i - 1]));
    if (begins && !good.empty()) {
      const bool is_good = good[std::min(step++, good.size() - 1)];
      (is_good ? out.good : out.bad) += 1;
      out.sequence.tokens.push_back(is_good ? good_label : bad_label);
      out.sequence.loss.push_back(false);
    }
    out.sequence.tokens.push_back(sequence.tokens[i]);
    out.sequence.loss.push_back(sequence.loss[i]);
  }
  return out;
}

std::vector<bool> JudgeSteps(const RcrlSettings& settings, const std::vector<size_t>& ends,
                             const std::vector<float>& probabilities) {
  std::vector<bool> good;
  double before = probabilities.front();
  for (size_t end : ends) {
    const double now = probabilities[end];
    const bool rise = settings.label_by() == RcrlSettings::RISE;
    good.push_back((rise ? now - before : now) >= settings.threshold());
    before = now;
  }
  return good;
}

void BalanceLabels(double ratio, uint64_t key, std::vector<LabelledSequence>* samples) {
  if (ratio == 0) return;
  int64_t good = 0, bad = 0;
  for (const LabelledSequence& sample : *samples) {
    good += sample.good;
    bad += sample.bad;
  }
  std::vector<size_t> order(samples->size());
  std::iota(order.begin(), order.end(), size_t{0});
  Shuffle(order, key);
  std::vector<bool> left_out(samples->size());
  for (size_t i : order) {
    const LabelledSequence& sample = (*samples)[i];
    const double without = GoodShare(good - sample.good, bad - sample.bad);
    if (std::fabs(without - ratio) >= std::fabs(GoodShare(good, bad) - ratio)) continue;
    good -= sample.good;
    bad -= sample.bad;
    left_out[i] = true;
  }
  size_t kept = 0;
  for (size_t i = 0; i < samples->size(); ++i) {
    if (left_out[i]) continue;
    if (kept != i) (*samples)[kept] = std::move((*samples)[i]);
    ++kept;
  }
  samples->resize(kept);
}

std::vector<uint32_t> ForcedStepLabel(const LearnerContext& context) {
  for (int64_t i = context.cursor.stage; i >= 0; --i) {
    const Stage& stage = context.config.stage(static_cast<int>(i));
    const bool made = i < context.cursor.stage || context.cursor.round > 0 ||
                      context.cursor.phase == Cursor::kTrained;
    if (stage.has_eval() || stage.has_orm() || !made) continue;
    if (!stage.has_rcrl()) return {};
    return {LabelToken(*context.data, stage.rcrl().good_label())};
  }
  return {};
}

absl::StatusOr<std::vector<TrainingSequence>> Rcrl::Collect(LearnerContext& context) const {
  const RunData& data = *context.data;
  ASSIGN_OR_RETURN(RewardModel * orm, OpenRewardModel(context, settings_.orm()));
  const uint32_t good_label = LabelToken(data, settings_.good_label());
  const uint32_t bad_label = LabelToken(data, settings_.bad_label());
  const SpliceOptions options = {data.tokenizer.get(), data.training->StopTokenIds()};
  std::vector<LabelledSequence> samples;
  Pending pending;
  auto label = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const TokenValues probabilities,
                     orm->Score(*MakeSingle(), pending.solutions,
                                context.config.learner().micro_batch_tokens()));
    for (size_t i = 0; i < pending.solutions.size(); ++i) {
      const Solution& solution = pending.solutions[i];
      const std::vector<bool> good = JudgeSteps(
          settings_, orm->steps().EndsOf(solution.tokens, solution.prompt), probabilities[i]);
      samples.push_back(LabelSteps(pending.sequences[i], pending.prompts[i], good, orm->steps(),
                                   good_label, bad_label));
    }
    pending = Pending();
    return absl::OkStatus();
  };
  absl::Status labelled;
  for (const SampledRound& round :
       RoundsOf(context, *FindStage(context.config, settings_.selection()))) {
    RETURN_IF_ERROR(ReadRound(context, round, [&](const Problem& problem, const Rollout& rollout) {
      const std::vector<uint32_t> prompt = data.training->Prompt(problem);
      pending.solutions.push_back(SolutionOf(rollout));
      pending.sequences.push_back(Splice(prompt, rollout, options));
      pending.prompts.push_back(prompt.size());
      if (pending.solutions.size() >= kScoredAtOnce && labelled.ok()) labelled = label();
    }));
  }
  if (labelled.ok()) labelled = label();
  RETURN_IF_ERROR(labelled);

  BalanceLabels(settings_.good_ratio(), StreamKey(context.config.seed(), RoundName(context)),
                &samples);
  std::vector<TrainingSequence> sequences;
  int64_t good = 0, bad = 0;
  for (LabelledSequence& sample : samples) {
    good += sample.good;
    bad += sample.bad;
    sequences.push_back(std::move(sample.sequence));
  }
  context.reporter->AddLine(absl::StrFormat(
      "%s: %d samples of %s, %d steps, %.1f%% labelled good", RoundTitle(context), sequences.size(),
      settings_.selection(), good + bad, 100 * GoodShare(good, bad)));
  RETURN_IF_ERROR(context.reporter->Write({{"rcrl/samples", double(sequences.size())},
                                           {"rcrl/steps", double(good + bad)},
                                           {"rcrl/good_ratio", GoodShare(good, bad)}},
                                          &context.cursor.step));
  std::vector<TrainingSequence> solutions;
  if (settings_.include_sft_data()) {
    solutions = EarlierSolutions(context.config, context.cursor.stage, data);
  }
  if (good == 0 && bad > 0 && solutions.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        RoundTitle(context), ": no step of selection ", settings_.selection(),
        " is labelled good, which evaluations of this policy force; lower rcrl.threshold"));
  }
  for (const TrainingSequence& worked : solutions) {
    const auto first = std::find(worked.loss.begin(), worked.loss.end(), true);
    sequences.push_back(
        LabelSteps(worked, first - worked.loss.begin(), {true}, orm->steps(), good_label, bad_label)
            .sequence);
  }
  return sequences;
}

absl::Status Rcrl::Round(LearnerContext& context) {
  std::vector<TrainingSequence> sequences;
  if (context.parallel->rank() == 0) {
    ASSIGN_OR_RETURN(sequences, Collect(context));
    if (sequences.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat(RoundTitle(context), ": selection ", settings_.selection(),
                       " leaves nothing to train on; lower rcrl.threshold or set good_ratio: 0"));
    }
  }
  return FineTune(context, settings_.restart_from(), std::move(sequences));
}

}  // namespace reckon
