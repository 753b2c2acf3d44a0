#include "learner/algorithm/selection.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "learner/algorithm/duplicates.h"
#include "learner/algorithm/orm_rewards.h"
#include "learner/algorithm/run_plan.h"

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
                                  {"sample/accepted", double(c.accepted)},
                                  {"sample/accepted_ratio", c.accepted / samples},
                                  {"sample/distinct", double(c.kept)},
                                  {"sample/distinct_per_prompt", c.kept / prompts},
                                  {"sample/solved_ratio", c.solved / prompts},
                                  {"sample/set_aside", double(c.set_aside)},
                                  {"perf/throughput", c.tokens / seconds},
                                  {"timing_s/gen", seconds}},
                                 &context.cursor.step);
}

std::string RuleName(const SelectionRule& rule) {
  std::string name = rule.threshold == -std::numeric_limits<double>::infinity()
                         ? std::string("all")
                         : absl::StrCat("reward >= ", rule.threshold);
  if (rule.dedup != EiSettings::NONE) {
    absl::StrAppend(&name, ", distinct by ",
                    absl::AsciiStrToLower(EiSettings::Dedup_Name(rule.dedup)));
  }
  return name;
}

// Round `round` of stage `stage`, which asks `prompts` of the problems from `first` on; 0: all.
SampledRound RoundOf(const LearnerContext& context, const std::string& stage, size_t first,
                     uint32_t prompts, int64_t round) {
  SampledRound out;
  out.record = absl::StrCat(stage, "/round_", round + 1);
  const std::vector<Problem>& train = context.data->train;
  for (size_t i = first; i < train.size(); ++i) out.problems.push_back(&train[i]);
  if (prompts > 0 && prompts < out.problems.size()) {
    Shuffle(out.problems, StreamKey(context.config.seed(), out.record));
    out.problems.resize(prompts);
  }
  return out;
}

}  // namespace

std::vector<SampledRound> RoundsOf(const LearnerContext& context, const Stage& stage) {
  if (stage.has_orm()) {
    int64_t index = 0;
    while (context.config.stage(static_cast<int>(index)).name() != stage.name()) ++index;
    const int64_t learned = stage.orm().skip_sft_problems()
                                ? EarlierSftProblems(context.config, index, *context.data)
                                : 0;
    return {RoundOf(context, stage.name(), learned, stage.orm().prompts(), 0)};
  }
  std::vector<SampledRound> rounds;
  for (uint32_t round = 0; round < stage.ei().rounds(); ++round) {
    rounds.push_back(RoundOf(context, stage.name(), 0, stage.ei().prompts(), round));
  }
  return rounds;
}

absl::Status SampleRound(LearnerContext& context, const SampledRound& round,
                         const SelectionRule& rule) {
  PlanSpec spec = PinnedPlan(context, *rule.formatter, rule.sampling);
  spec.set_name(round.record);
  spec.set_samples_per_group(rule.samples_per_prompt);
  AddRewards(rule.rewards, &spec);

  context.reporter->BeginPhase(absl::StrCat(RoundTitle(context), ": sample"),
                               double(round.problems.size()) * rule.samples_per_prompt, "samples");
  absl::Time begin = absl::Now();
  RoundCounts counts;
  Duplicates duplicates(rule.dedup);
  AppendSelectionRequest request;
  request.set_name(spec.name());
  request.set_rule(RuleName(rule));
  auto select = [&](const Batch& batch) -> absl::Status {
    request.set_first_index(request.first_index() + request.keys_size());
    request.clear_keys();
    counts.set_aside += batch.header.set_aside_size();
    std::vector<Rollout> rollouts = batch.rollouts;
    RETURN_IF_ERROR(AddOrmRewards(context, rule.rewards, &rollouts));
    for (const std::vector<Rollout>& group : SplitGroups(std::move(rollouts))) {
      SelectFromGroup(group, rule.threshold, &duplicates, &counts, &request);
    }
    return request.keys().empty() ? absl::OkStatus() : context.plans->AppendSelection(request);
  };
  RETURN_IF_ERROR(RunPlan(context, spec, *rule.formatter, round.problems, select));
  request.set_first_index(request.first_index() + request.keys_size());
  request.clear_keys();
  request.set_complete(true);
  RETURN_IF_ERROR(context.plans->AppendSelection(request));
  return Report(context, counts, absl::ToDoubleSeconds(absl::Now() - begin));
}

absl::Status ReadRound(LearnerContext& context, const SampledRound& round,
                       const std::function<void(const Problem&, const Rollout&)>& each) {
  std::vector<RolloutKey> keys;
  auto take = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(std::vector<Rollout> rollouts, context.plans->Fetch(keys));
    keys.clear();
    for (const Rollout& rollout : rollouts) {
      const uint64_t group = rollout.key().group();
      if (group >= round.problems.size()) {
        return absl::FailedPreconditionError(
            absl::StrCat("selection ", round.record, " names problem ", group,
                         ", which the data does not have: was data.train changed since?"));
      }
      each(*round.problems[group], rollout);
    }
    return absl::OkStatus();
  };
  absl::Status taken;
  RETURN_IF_ERROR(
      context.plans->ReadSelection(round.record, [&](const std::vector<RolloutKey>& run) {
        for (const RolloutKey& key : run) {
          keys.push_back(key);
          if (keys.size() >= kFetchedAtOnce && taken.ok()) taken = take();
        }
      }));
  if (taken.ok() && !keys.empty()) taken = take();
  return taken;
}

}  // namespace reckon
