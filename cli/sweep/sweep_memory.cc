#include "cli/sweep/sweep_memory.h"

#include <algorithm>
#include <functional>

#include "absl/strings/str_cat.h"
#include "cli/commands/model_facts.h"
#include "cli/commands/resource_plan.h"
#include "cli/estimate/actor_memory.h"
#include "cli/estimate/learner_memory.h"
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
    RunConfig planned = run.config;
    PlanSharding(&*facts, Site::kThisMachine, &planned);
    const Placement of_actor = ActorPlacement(planned, Site::kThisMachine);
    const Placement of_rank = LearnerPlacement(planned, Site::kThisMachine);
    memory.on_gpu = of_actor == Placement::kGpu || of_rank == Placement::kGpu;
    memory.actor = ActorMemory(planned, *facts, of_actor).total();
    memory.rank =
        LearnerMemory(planned, *facts, of_rank, FolderAt(Site::kThisMachine)).estimate.total();
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
