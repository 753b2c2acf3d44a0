#include "learner/algorithm/expert_iteration.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "learner/algorithm/duplicates.h"
#include "learner/algorithm/fine_tune.h"
#include "learner/algorithm/run_plan.h"
#include "learner/algorithm/splice.h"

namespace reckon {
namespace {

constexpr size_t kFetchedAtOnce = 256;  // rollouts

// Counts of one round's sampling.
struct RoundCounts {
  uint64_t samples = 0, tokens = 0, truncated = 0, accepted = 0, kept = 0, set_aside = 0;
  uint64_t prompts = 0, solved = 0;
  double reward = 0;
};

uint64_t SampledTokens(const Rollout& rollout) {
  uint64_t tokens = 0;
  for (const TokenSpan& span : rollout.spans()) {
    if (span.kind() == TokenSpan::SAMPLED) tokens += span.tokens_size();
  }
  return tokens;
}

// Adds a group to the counts and the keys of what it leaves to `request`.
void SelectFromGroup(const std::vector<Rollout>& group, double threshold, Duplicates* duplicates,
                     RoundCounts* counts, AppendSelectionRequest* request) {
  bool solved = false;
  for (const Rollout& rollout : group) {
    ++counts->samples;
    counts->tokens += SampledTokens(rollout);
    counts->reward += rollout.reward();
    if (rollout.finish() == FINISH_LENGTH) ++counts->truncated;
    if (rollout.reward() < threshold) continue;
    ++counts->accepted;
    solved = true;
    if (!duplicates->IsNew(rollout.key().group(), rollout.completion())) continue;
    ++counts->kept;
    *request->add_keys() = rollout.key();
  }
  ++counts->prompts;
  if (solved) ++counts->solved;
}

absl::Status Report(LearnerContext& context, const RoundCounts& c, double seconds) {
  double samples = std::max<double>(1, c.samples), prompts = std::max<double>(1, c.prompts);
  context.reporter->AddLine(absl::StrFormat(
      "%s: %d samples of %d prompts  accepted %.1f%%  distinct %d  prompts solved %.1f%%  "
      "%.0f tokens each  %.0f tok/s",
      RoundTitle(context), c.samples, c.prompts, 100 * c.accepted / samples, c.kept,
      100 * c.solved / prompts, c.tokens / samples, c.tokens / seconds));
  return context.reporter->Write({{"num_samples", double(c.samples)},
                                  {"num_tokens", double(c.tokens)},
                                  {"reward", c.reward / samples},
                                  {"response_length/mean", c.tokens / samples},
                                  {"response_length/clip_ratio", c.truncated / samples},
                                  {"ei/accepted", double(c.accepted)},
                                  {"ei/accepted_ratio", c.accepted / samples},
                                  {"ei/distinct", double(c.kept)},
                                  {"ei/distinct_per_prompt", c.kept / prompts},
                                  {"ei/solved_ratio", c.solved / prompts},
                                  {"ei/set_aside", double(c.set_aside)},
                                  {"perf/throughput", c.tokens / seconds},
                                  {"timing_s/gen", seconds}},
                                 &context.cursor.step);
}

std::string Rule(const EiSettings& settings) {
  std::string rule = absl::StrCat("reward >= ", settings.threshold());
  if (settings.dedup() != EiSettings::NONE) {
    absl::StrAppend(&rule, ", distinct by ",
                    absl::AsciiStrToLower(EiSettings::Dedup_Name(settings.dedup())));
  }
  return rule;
}

SpliceOptions MakeSpliceOptions(const RunData& data) {
  return {data.tokenizer.get(), data.training->StopTokenIds()};
}

// Worked solutions that sft stages before this one learned.
std::vector<TrainingSequence> EarlierSolutions(const LearnerContext& context) {
  int64_t count = 0;
  for (int i = 0; i < context.cursor.stage; ++i) {
    const Stage& stage = context.config.stage(i);
    if (stage.has_sft()) count = std::max(count, SftProblems(stage.sft(), *context.data));
  }
  std::vector<TrainingSequence> sequences;
  for (int64_t i = 0; i < count; ++i) {
    sequences.push_back(WorkedSequence(*context.data, context.data->train[i]));
  }
  return sequences;
}

}  // namespace

std::string RoundRecord(const LearnerContext& context, int64_t round) {
  return absl::StrCat(context.stage().name(), "/round_", round + 1);
}

std::vector<const Problem*> RoundProblems(const LearnerContext& context, const EiSettings& settings,
                                          int64_t round) {
  std::vector<const Problem*> problems;
  for (const Problem& problem : context.data->train) problems.push_back(&problem);
  if (settings.prompts() > 0 && settings.prompts() < problems.size()) {
    Shuffle(problems, StreamKey(context.config.seed(), RoundRecord(context, round)));
    problems.resize(settings.prompts());
  }
  return problems;
}

absl::Status SampleRound(LearnerContext& context, const EiSettings& settings) {
  const int64_t round = context.cursor.round;
  const RunData& data = *context.data;
  const PromptFormatter& formatter =
      round == 0 && settings.few_shot_first_round() ? *data.few_shot : *data.prompt;
  PlanSpec spec = PinnedPlan(context, formatter, settings.sampling());
  spec.set_name(RoundRecord(context, round));
  spec.set_samples_per_group(settings.samples_per_prompt());
  for (const RewardSettings& reward : settings.reward()) AddReward(reward, &spec);
  if (settings.reward().empty()) AddReward(RewardSettings(), &spec);

  std::vector<const Problem*> problems = RoundProblems(context, settings, round);
  context.reporter->BeginPhase(absl::StrCat(RoundTitle(context), ": sample"),
                               double(problems.size()) * settings.samples_per_prompt(), "samples");
  absl::Time begin = absl::Now();
  RoundCounts counts;
  Duplicates duplicates(settings.dedup());
  AppendSelectionRequest request;
  request.set_name(spec.name());
  request.set_rule(Rule(settings));
  RETURN_IF_ERROR(RunPlan(context, spec, formatter, problems, [&](const Batch& batch) {
    request.set_first_index(request.first_index() + request.keys_size());
    request.clear_keys();
    counts.set_aside += batch.header.set_aside_size();
    for (const std::vector<Rollout>& group : SplitGroups(batch)) {
      SelectFromGroup(group, settings.threshold(), &duplicates, &counts, &request);
    }
    return request.keys().empty() ? absl::OkStatus() : context.plans->AppendSelection(request);
  }));
  request.set_first_index(request.first_index() + request.keys_size());
  request.clear_keys();
  request.set_complete(true);
  RETURN_IF_ERROR(context.plans->AppendSelection(request));
  return Report(context, counts, absl::ToDoubleSeconds(absl::Now() - begin));
}

absl::StatusOr<std::vector<TrainingSequence>> UnionOfSelections(LearnerContext& context,
                                                                const EiSettings& settings) {
  SpliceOptions options = MakeSpliceOptions(*context.data);
  Duplicates duplicates(settings.dedup());
  std::vector<TrainingSequence> sequences;
  for (int64_t round = 0; round <= context.cursor.round; ++round) {
    std::vector<const Problem*> problems = RoundProblems(context, settings, round);
    std::vector<RolloutKey> keys;
    auto take = [&]() -> absl::Status {
      ASSIGN_OR_RETURN(std::vector<Rollout> rollouts, context.plans->Fetch(keys));
      keys.clear();
      for (const Rollout& rollout : rollouts) {
        uint64_t group = rollout.key().group();
        if (group >= problems.size()) {
          return absl::FailedPreconditionError(
              absl::StrCat("selection ", RoundRecord(context, round), " names problem ", group,
                           ", which the data does not have: was data.train changed since?"));
        }
        uint64_t problem = problems[group] - context.data->train.data();
        if (!duplicates.IsNew(problem, rollout.completion())) continue;
        sequences.push_back(
            Splice(context.data->training->Prompt(*problems[group]), rollout, options));
      }
      return absl::OkStatus();
    };
    absl::Status taken;
    RETURN_IF_ERROR(context.plans->ReadSelection(
        RoundRecord(context, round), [&](const std::vector<RolloutKey>& run) {
          for (const RolloutKey& key : run) {
            keys.push_back(key);
            if (keys.size() >= kFetchedAtOnce && taken.ok()) taken = take();
          }
        }));
    if (taken.ok() && !keys.empty()) taken = take();
    RETURN_IF_ERROR(taken);
  }
  return sequences;
}

absl::Status ExpertIteration::Round(LearnerContext& context) {
  std::vector<TrainingSequence> sequences;
  if (context.parallel->rank() == 0) {
    // In the middle of the fine-tuning the selection is complete.
    if (context.cursor.phase == Cursor::kBegin) {
      RETURN_IF_ERROR(SampleRound(context, settings_));
    }
    if (settings_.include_sft_data()) sequences = EarlierSolutions(context);
    ASSIGN_OR_RETURN(std::vector<TrainingSequence> selected, UnionOfSelections(context, settings_));
    sequences.insert(sequences.end(), std::make_move_iterator(selected.begin()),
                     std::make_move_iterator(selected.end()));
    if (sequences.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat(RoundTitle(context), ": no sample reached reward ", settings_.threshold(),
                       " and there is nothing to train on; put an sft stage in front, raise "
                       "ei.samples_per_prompt or lower ei.threshold"));
    }
  }
  return FineTune(context, settings_.restart_from(), std::move(sequences));
}

}  // namespace reckon
