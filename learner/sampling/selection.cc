#include "learner/sampling/selection.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/task/prompt/stop_string.h"
#include "common/telemetry/figures.h"
#include "learner/data/selected_rollouts.h"
#include "learner/report/learner_metrics.h"
#include "learner/report/reward_metrics.h"
#include "learner/sampling/problem_order.h"
#include "learner/sampling/run_plan.h"

namespace reckon {
namespace {

constexpr size_t kFetchedAtOnce = 256;  // rollouts

// What a round's sampling reports.
struct RoundCounts {
  uint64_t samples = 0, tokens = 0, truncated = 0, accepted = 0, kept = 0, set_aside = 0;
  uint64_t prompts = 0, solved = 0;
  double reward = 0;
  RewardMetrics rewards;
};

uint64_t SampledTokens(const Rollout& rollout) {
  uint64_t tokens = 0;
  for (const TokenSpan& span : rollout.spans()) {
    if (span.kind() == TokenSpan::SAMPLED) tokens += span.tokens_size();
  }
  return tokens;
}

// Appends the keys of a group's selected rollouts to `request`.
// `set`: of a mixture, that the group's problem is of.
void SelectFromGroup(const std::vector<Rollout>& group, const SelectionRule& rule,
                     const std::string& set, SeenSolutions* seen, RoundCounts* counts,
                     AppendSelectionRequest* request) {
  bool solved = false;
  for (const Rollout& rollout : group) {
    ++counts->samples;
    counts->tokens += SampledTokens(rollout);
    counts->reward += rollout.reward();
    counts->rewards.Add(rollout, set);
    const bool truncated = rollout.finish() == FINISH_LENGTH;
    if (truncated) ++counts->truncated;
    if (rollout.reward() < rule.threshold || (truncated && !rule.keep_truncated)) continue;
    ++counts->accepted;
    solved = true;
    // Only accepted rollouts are remembered, so a rejected one never hides an accepted one.
    if (!seen->Insert(rollout.key().group(), rollout.completion())) continue;
    ++counts->kept;
    *request->add_keys() = rollout.key();
  }
  ++counts->prompts;
  if (solved) ++counts->solved;
}

absl::Status Report(RunState& run, const RoundCounts& c, double seconds) {
  const double samples = std::max<double>(1, c.samples), prompts = std::max<double>(1, c.prompts);
  run.reporter->AddLine(absl::StrFormat(
      "%s: %s samples  accepted %.1f%%  distinct %s  solved %.1f%%  %s tok/s  %s", RoundTitle(run),
      FormatCount(static_cast<double>(c.samples)), 100 * c.accepted / samples,
      FormatCount(static_cast<double>(c.kept)), 100 * c.solved / prompts,
      FormatCount(c.tokens / seconds), FormatSeconds(seconds)));
  run.reporter->CountSamples(double(c.samples), double(c.tokens));
  std::map<std::string, double> values = c.rewards.Values();
  values.merge(std::map<std::string, double>{{"num_samples", double(c.samples)},
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
                                             {"timing_s/gen", seconds}});
  return run.reporter->Write(values);
}

// The coordinator compares this text with that of the recorded selection, so a run that resumes
// with another threshold is refused instead of mixing two rules in one list.
std::string RuleName(const SelectionRule& rule) {
  std::string name = rule.threshold == -std::numeric_limits<double>::infinity()
                         ? std::string("all")
                         : absl::StrCat("reward >= ", rule.threshold);
  if (!rule.keep_truncated) absl::StrAppend(&name, ", not cut");
  if (rule.dedup != EiSettings::NONE) {
    absl::StrAppend(&name, ", distinct by ",
                    absl::AsciiStrToLower(EiSettings::Dedup_Name(rule.dedup)));
  }
  return name;
}

}  // namespace

SampledRound MakeSampledRound(const RunConfig& config, const RunData& data,
                              const std::string& stage, size_t first, uint32_t prompts,
                              int64_t round) {
  SampledRound out;
  out.name = absl::StrCat(stage, "/round_", round + 1);
  const size_t all = data.train.size() - std::min(first, data.train.size());
  if (prompts > 0 && prompts < all) {
    out.problems =
        DrawProblems(PoolsOf(config.data(), data.train, first), prompts, config.seed(), out.name);
    return out;
  }
  out.problems.resize(all);
  std::iota(out.problems.begin(), out.problems.end(), first);
  return out;
}

absl::Status SampleRound(LeaderContext& leader, const SampledRound& round,
                         const SelectionRule& rule) {
  RunState& run = leader.run;
  PlanSpec spec = MakePinnedPlan(run, *rule.formatter, rule.sampling);
  spec.set_name(round.name);
  spec.set_samples_per_group(rule.samples_per_prompt);
  AddRewards(rule.rewards, &spec);
  std::vector<const Problem*> problems;
  for (size_t problem : round.problems) problems.push_back(&leader.data.train[problem]);

  run.reporter->BeginPhase(absl::StrCat(RoundTitle(run), ": sample"),
                           double(problems.size()) * rule.samples_per_prompt, "samples");
  const absl::Time begin = absl::Now();
  RoundCounts counts;
  SeenSolutions seen(rule.dedup);
  AppendSelectionRequest request;
  request.set_name(spec.name());
  request.set_rule(RuleName(rule));
  // Requests are numbered by their first entry, so that one that is repeated is not appended twice.
  auto start_next_request = [&request] {
    request.set_first_index(request.first_index() + request.keys_size());
    request.clear_keys();
  };
  auto select = [&](const Batch& batch) -> absl::Status {
    start_next_request();
    counts.set_aside += batch.header.set_aside_size();
    // A copy, because AddOrmRewards changes the rewards and the batch is the caller's.
    std::vector<Rollout> rollouts = batch.rollouts;
    RETURN_IF_ERROR(AddOrmRewards(leader, rule.rewards, &rollouts));
    for (const std::vector<Rollout>& group : SplitGroups(std::move(rollouts))) {
      const std::string& set = problems[group[0].key().group()]->set;
      SelectFromGroup(group, rule, set, &seen, &counts, &request);
    }
    return request.keys().empty() ? absl::OkStatus() : leader.plans.AppendSelection(request);
  };
  RETURN_IF_ERROR(RunPlan(leader, spec, *rule.formatter, problems, select));
  start_next_request();
  // In a call of its own, which is made even when nothing was selected: a selection that exists and
  // is complete is how a resumed run, or a later stage, knows that the round was sampled.
  request.set_complete(true);
  RETURN_IF_ERROR(leader.plans.AppendSelection(request));
  return Report(run, counts, absl::ToDoubleSeconds(absl::Now() - begin));
}

absl::Status ReadRound(LeaderContext& leader, const SampledRound& round,
                       const std::function<void(size_t problem, const Rollout&)>& each) {
  const ActivityScope wait(&LearnerMetrics::Process().activity, LearnerMetrics::kWaitRollouts);
  std::vector<RolloutKey> keys;
  const std::vector<uint32_t> ends = leader.data.training->StopTokenIds();
  auto fetch = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(std::vector<Rollout> rollouts, leader.plans.Fetch(keys));
    keys.clear();
    for (Rollout& rollout : rollouts) {
      EndAtStopString(*leader.data.tokenizer, ends, &rollout);
      const uint64_t group = rollout.key().group();
      if (group >= round.problems.size()) {
        return absl::FailedPreconditionError(
            absl::StrCat("selection ", round.name, " names problem ", group,
                         ", which the data does not have: was data.train changed since?"));
      }
      each(round.problems[group], rollout);
    }
    return absl::OkStatus();
  };
  absl::Status fetched;
  RETURN_IF_ERROR(leader.plans.ReadSelection(round.name, [&](const std::vector<RolloutKey>& run) {
    for (const RolloutKey& key : run) {
      keys.push_back(key);
      // The callback cannot fail, so the first error is kept and returned at the end.
      if (keys.size() >= kFetchedAtOnce && fetched.ok()) fetched = fetch();
    }
  }));
  if (fetched.ok() && !keys.empty()) fetched = fetch();
  return fetched;
}

}  // namespace reckon
