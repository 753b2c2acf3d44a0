#include "cli/report/rollout_sample.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <utility>

#include "common/base/status_macros.h"

namespace reckon {
namespace {

double SamplesOfGroup(const PlanStatus& plan) {
  return std::max(1.0, static_cast<double>(plan.samples_accepted()) /
                           std::max<double>(1, static_cast<double>(plan.complete_groups())));
}

double TokensOfGroup(const PlanStatus& plan) {
  return static_cast<double>(plan.sampled_tokens()) /
         std::max<double>(1, static_cast<double>(plan.complete_groups()));
}

// Keys of a batch, a list for each group.
std::vector<std::vector<RolloutKey>> GroupsOf(const BatchHeader& header) {
  std::vector<std::vector<RolloutKey>> groups;
  for (const RolloutHeader& rollout : header.rollouts()) {
    if (groups.empty() || groups.back()[0].group() != rollout.key().group()) groups.emplace_back();
    groups.back().push_back(rollout.key());
  }
  return groups;
}

absl::StatusOr<SampledPlan> SamplePlan(RunReader* reader, const PlanStatus& plan, uint64_t groups) {
  SampledPlan out = {.name = plan.name(), .samples = plan.samples_accepted(), .groups = {}};
  std::optional<BatchHeader> header;
  std::vector<std::vector<RolloutKey>> of_batch;
  uint64_t read = plan.batches_cut();  // the batch of `of_batch`; none yet
  for (uint64_t i = 0; i < groups; ++i) {
    // Groups at equal distances, in units of batches.
    const double at = (static_cast<double>(i) + 0.5) / static_cast<double>(groups) *
                      static_cast<double>(plan.batches_cut());
    const auto batch = static_cast<uint64_t>(at);
    if (batch != read) {
      ASSIGN_OR_RETURN(header, reader->Header(plan.name(), batch));
      of_batch = header ? GroupsOf(*header) : std::vector<std::vector<RolloutKey>>();
      read = batch;
    }
    if (of_batch.empty()) continue;
    const auto index = static_cast<size_t>((at - static_cast<double>(batch)) *
                                           static_cast<double>(of_batch.size()));
    std::vector<RolloutKey>& keys = of_batch[std::min(index, of_batch.size() - 1)];
    if (keys.empty()) continue;  // taken already: batches differ in size
    ASSIGN_OR_RETURN(std::vector<Rollout> rollouts, reader->Fetch(keys));
    if (!rollouts.empty()) out.groups.push_back(std::move(rollouts));
    keys.clear();
  }
  return out;
}

}  // namespace

std::vector<uint64_t> ShareGroups(const std::vector<PlanStatus>& plans,
                                  const SampleLimits& limits) {
  std::vector<size_t> order(plans.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::make_pair(plans[a].samples_accepted(), a) <
           std::make_pair(plans[b].samples_accepted(), b);
  });
  SampleLimits left = limits;
  std::vector<uint64_t> taken(plans.size(), 0);
  for (size_t i = 0; i < order.size(); ++i) {
    const PlanStatus& plan = plans[order[i]];
    if (plan.batches_cut() == 0 || plan.complete_groups() == 0) continue;
    const double share = 1.0 / static_cast<double>(order.size() - i);
    const double fit = std::min(left.rollouts * share / SamplesOfGroup(plan),
                                left.tokens * share / std::max(1.0, TokensOfGroup(plan)));
    const auto all = static_cast<double>(plan.complete_groups());
    taken[order[i]] = static_cast<uint64_t>(std::clamp(fit, 1.0, all));
    const auto groups = static_cast<double>(taken[order[i]]);
    left.rollouts = std::max(0.0, left.rollouts - groups * SamplesOfGroup(plan));
    left.tokens = std::max(0.0, left.tokens - groups * TokensOfGroup(plan));
  }
  return taken;
}

absl::StatusOr<std::vector<SampledPlan>> SampleRollouts(RunReader* reader,
                                                        const SampleLimits& limits) {
  const std::vector<PlanStatus> plans(reader->status().plans().begin(),
                                      reader->status().plans().end());
  const std::vector<uint64_t> groups = ShareGroups(plans, limits);
  std::vector<SampledPlan> out;
  for (size_t i = 0; i < plans.size(); ++i) {
    if (groups[i] == 0) continue;
    ASSIGN_OR_RETURN(SampledPlan plan, SamplePlan(reader, plans[i], groups[i]));
    if (!plan.groups.empty()) out.push_back(std::move(plan));
  }
  return out;
}

}  // namespace reckon
