#include "learner/algorithm/rcrl/rcrl.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "learner/algorithm/fine_tune.h"
#include "learner/algorithm/registry.h"
#include "learner/context/shared_device.h"
#include "learner/data/selected_rollouts.h"
#include "learner/experience/orm_rewards.h"
#include "learner/parallel/single.h"

namespace reckon {
namespace {

constexpr size_t kScoredAtOnce = 256;  // rollouts

// `reckon train` refuses labels that the tokenizer splits.
uint32_t LabelToken(const RunData& data, const std::string& label) {
  return data.tokenizer->Encode(label, /*parse_special=*/true)->front();
}

LabelTokens LabelTokensOf(const RunData& data, const RcrlSettings& settings) {
  return {.good = LabelToken(data, settings.good_label()),
          .bad = LabelToken(data, settings.bad_label())};
}

// Rollouts that wait until there are enough to be scored together.
struct Unscored {
  std::vector<Solution> solutions;
  std::vector<TrainingSequence> sequences;  // the same under the training prompt
  std::vector<size_t> prompts;              // tokens of that prompt
};

}  // namespace

std::vector<uint32_t> Rcrl::StepLabel(const RunData& data) const {
  return {LabelToken(data, settings_.good_label())};
}

absl::StatusOr<std::vector<LabelledSequence>> Rcrl::LabelSelection(LeaderContext& leader,
                                                                   RewardModel* model) const {
  const RunData& data = leader.data;
  const LabelTokens labels = LabelTokensOf(data, settings_);
  std::vector<LabelledSequence> samples;
  Unscored unscored;
  auto label = [&]() -> absl::Status {
    CheckHasDevice(leader.run);  // of OpenRewardModel
    // The leader scores alone: the other ranks wait for its sequences in FineTune, and a collective
    // of one rank would block the group.
    ASSIGN_OR_RETURN(
        const TokenValues probabilities,
        model->Score(*MakeSingle(), unscored.solutions, config_.learner().micro_batch_tokens()));
    for (size_t i = 0; i < unscored.solutions.size(); ++i) {
      const Solution& solution = unscored.solutions[i];
      const std::vector<bool> good = LabelSteps(
          settings_, model->steps().EndsOf(solution.tokens, solution.prompt), probabilities[i]);
      samples.push_back(
          InsertLabels(unscored.sequences[i], unscored.prompts[i], good, model->steps(), labels));
    }
    unscored = Unscored();
    return absl::OkStatus();
  };
  absl::Status labelled;
  const std::unique_ptr<Algorithm> earlier = MakeAlgorithm(config_, settings_.selection());
  for (const SampledRound& round : earlier->SampledRounds(data)) {
    RETURN_IF_ERROR(ReadRound(leader, round, [&](size_t problem, const Rollout& rollout) {
      const std::vector<uint32_t> prompt = data.training->Prompt(data.train[problem]);
      unscored.solutions.push_back(SolutionOf(rollout));
      unscored.sequences.push_back(Splice(prompt, rollout));
      unscored.prompts.push_back(prompt.size());
      // The callback cannot fail, so the first error is kept. Scoring in parts bounds what is held:
      // solutions and their token probabilities.
      if (unscored.solutions.size() >= kScoredAtOnce && labelled.ok()) labelled = label();
    }));
  }
  if (labelled.ok()) labelled = label();
  RETURN_IF_ERROR(labelled);
  return samples;
}

std::vector<LabelledSequence> Rcrl::LabelWorked(LeaderContext& leader,
                                                const StepTokens& steps) const {
  std::vector<LabelledSequence> worked;
  if (!settings_.include_sft_data()) return worked;
  const LabelTokens labels = LabelTokensOf(leader.data, settings_);
  for (const TrainingSequence& solution : EarlierSolutions(config_, stage_index_, leader.data)) {
    const auto prompt = std::find(solution.loss.begin(), solution.loss.end(), true);
    worked.push_back(InsertLabels(solution, prompt - solution.loss.begin(), {true}, steps, labels));
  }
  return worked;
}

absl::StatusOr<std::vector<TrainingSequence>> Rcrl::Collect(LeaderContext& leader) const {
  RunState& run = leader.run;
  ASSIGN_OR_RETURN(RewardModel * model, OpenRewardModel(leader, settings_.orm()));
  ASSIGN_OR_RETURN(std::vector<LabelledSequence> samples, LabelSelection(leader, model));
  // A label is a token more for each step, so what fits without labels may not fit with them.
  const int64_t most =
      std::min<int64_t>(stage().training().max_tokens(), run.model->config().max_positions);
  const auto is_too_long = [most](const LabelledSequence& labelled) {
    return static_cast<int64_t>(labelled.sequence.tokens.size()) > most;
  };
  size_t too_long = std::erase_if(samples, is_too_long);
  BalanceLabels(settings_.good_ratio(), StreamKey(config_.seed(), RoundName(run)), &samples);
  std::vector<LabelledSequence> worked = LabelWorked(leader, model->steps());
  too_long += std::erase_if(worked, is_too_long);
  std::vector<TrainingSequence> sequences;
  int64_t good = 0, bad = 0;
  for (LabelledSequence& sample : samples) {
    good += sample.good;
    bad += sample.bad;
    sequences.push_back(std::move(sample.sequence));
  }
  run.reporter->AddLine(absl::StrFormat("%s: %d samples of %s, %d steps, %.1f%% labelled good",
                                        RoundTitle(run), sequences.size(), settings_.selection(),
                                        good + bad, 100 * GoodShare(good, bad)));
  if (too_long > 0) {
    run.reporter->AddLine(absl::StrFormat(
        "%s: %d labelled solutions above %d tokens are left out (training.max_tokens, or the "
        "model's positions)",
        RoundTitle(run), too_long, most));
  }
  RETURN_IF_ERROR(run.reporter->Write({{"rcrl/samples", double(sequences.size())},
                                       {"rcrl/steps", double(good + bad)},
                                       {"rcrl/too_long", double(too_long)},
                                       {"rcrl/good_ratio", GoodShare(good, bad)}}));
  if (good == 0 && bad > 0 && worked.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        RoundTitle(run), ": no step of selection ", settings_.selection(),
        " is labelled good, but evaluations force the good label; start another run with a "
        "lower rcrl.threshold"));
  }
  for (LabelledSequence& solution : worked) sequences.push_back(std::move(solution.sequence));
  if (!sequences.empty()) return sequences;
  return absl::FailedPreconditionError(
      absl::StrCat(RoundTitle(run), ": selection ", settings_.selection(),
                   " leaves nothing to train on; start another run with a lower ",
                   too_long > 0 ? "rcrl.threshold, with good_ratio: 0, or a larger max_tokens"
                                : "rcrl.threshold, or with good_ratio: 0"));
}

absl::Status Rcrl::Round(RankContext& ranks) {
  std::vector<TrainingSequence> sequences;
  if (ranks.leader != nullptr) {
    ASSIGN_OR_RETURN(sequences, Collect(*ranks.leader));
  }
  return FineTune(ranks, std::move(sequences), {.restart_from = settings_.restart_from()});
}

}  // namespace reckon
