#include "cli/sweep/sweep_memory.h"

#include <unistd.h>

#include <algorithm>
#include <functional>

#include "absl/strings/str_cat.h"
#include "cli/commands/model_facts.h"
#include "cli/commands/resource_plan.h"
#include "cli/estimate/actor_memory.h"
#include "cli/estimate/learner_memory.h"
#include "common/base/machine_limits.h"
#include "common/telemetry/figures.h"

namespace reckon {
namespace {

absl::StatusOr<ModelFacts> ShapeFacts(const RunConfig& config) {
  absl::StatusOr<ModelFacts> facts = InspectModel(config);
  return absl::IsNotFound(facts.status()) ? InspectShape(config) : std::move(facts);
}

}  // namespace

std::string RunMemory::Text(const RunConfig& config) const {
  if (!unknown.empty()) return "not known: " + unknown;
  const uint32_t actors = config.resources().actors(), ranks = config.resources().learner_ranks();
  return absl::StrCat(actors, actors == 1 ? " actor of " : " actors of ", FormatBytes(actor), ", ",
                      ranks, ranks == 1 ? " rank of " : " ranks of ", FormatBytes(rank), ": ",
                      FormatBytes(total), on_gpu ? " of GPUs" : "");
}

std::vector<RunMemory> PlanRunMemory(const SweepPlan& plan) {
  std::vector<RunMemory> out;
  for (const SweepRun& run : plan.runs) {
    RunMemory& memory = out.emplace_back();
    absl::StatusOr<ModelFacts> facts = ShapeFacts(run.config);
    if (!facts.ok() && run.start >= 0) facts = ShapeFacts(plan.runs[run.start].config);
    if (!facts.ok()) {
      memory.unknown = std::string(facts.status().message());
      continue;
    }
    const ModelSettings::Device device = run.config.model().device();
    memory.on_gpu = device == ModelSettings::CUDA ||
                    (device == ModelSettings::AUTO && ::access("/dev/nvidiactl", F_OK) == 0);
    const Placement placement = memory.on_gpu ? Placement::kGpu : Placement::kCpu;
    memory.actor = ActorMemory(run.config, *facts, placement).total();
    RunConfig planned = run.config;
    PlanSharding(&*facts, RunFolder::kOfAllRanks,
                 static_cast<double>(ReadMachineLimits().memory_bytes), &planned);
    memory.rank =
        LearnerMemory(planned, *facts, placement, RunFolder::kOfAllRanks).estimate.total();
    memory.total = memory.actor * run.config.resources().actors() +
                   memory.rank * run.config.resources().learner_ranks();
  }
  return out;
}

double MostAtOnce(const std::vector<RunMemory>& runs, size_t parallel) {
  std::vector<double> totals;
  for (const RunMemory& run : runs) {
    if (!run.on_gpu) totals.push_back(run.total);
  }
  std::sort(totals.begin(), totals.end(), std::greater<>());
  double sum = 0;
  for (size_t i = 0; i < std::min(parallel, totals.size()); ++i) sum += totals[i];
  return sum;
}

}  // namespace reckon
