#include "cli/commands/dry_run.h"

#include <algorithm>
#include <cmath>
#include <iostream>
#include <optional>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "cli/commands/machine.h"
#include "cli/commands/model_facts.h"
#include "cli/estimate/actor_memory.h"
#include "cli/estimate/disk_estimate.h"
#include "cli/estimate/learner_memory.h"
#include "cli/launcher/local_gpus.h"
#include "common/base/machine_limits.h"
#include "common/base/status_macros.h"
#include "common/config/config.h"
#include "common/config/stage_info.h"
#include "common/model/init/init_model.h"
#include "common/telemetry/figures.h"

namespace reckon {
namespace {

void Line(const std::string& what, double bytes, const std::string& why) {
  std::cout << absl::StrFormat("  %-44s %10s   %s\n", what, FormatBytes(bytes), why);
}

struct Samples {
  double training = 0, evaluation = 0;
};

double AtMost(int64_t all, uint32_t limit) {
  return static_cast<double>(limit == 0 ? all : std::min<int64_t>(all, limit));
}

// What one stage does, from what StageInfo knows of any kind.
class StageLine {
 public:
  StageLine(const RunConfig& config, const Stage& stage, const DataFacts& data)
      : stage_(stage), info_(stage), rounds_(info_.Rounds()) {
    if (const auto per_prompt = info_.Count("samples_per_prompt")) {
      per_round_ = AtMost(data.train, info_.Count("prompts").value_or(0)) * *per_prompt;
    }
    if (info_.traits().online()) per_round_ = OnlineSamples();
    // Groups that are filtered out are replaced by further batches.
    const auto* filter = info_.Part<PpoSettings::Filter>();
    at_most_per_round_ = per_round_ * (filter == nullptr ? 1 : filter->max_num_gen_batches());
    if (const auto limit = info_.Count("limit")) problems_ = AtMost(data.train, *limit);
    evaluations_ = info_.traits().creates_model() ? 0 : std::ceil(double(rounds_) / EvalEvery());
    per_evaluation_ = EvaluationSamples(config, data);
  }

  // Samples of one evaluation: a greedy one and K others for each problem.
  static double EvaluationSamples(const RunConfig& config, const DataFacts& data) {
    return static_cast<double>(data.eval) * (1 + config.eval().samples());
  }

  Samples samples() const {
    return {.training = at_most_per_round_ * rounds_, .evaluation = evaluations_ * per_evaluation_};
  }

  void Print() const {
    std::cout << "  " << stage_.name() << ": " << info_.traits().title();
    if (problems_ > 0) std::cout << ", " << FormatCount(problems_) << " problems";
    if (per_round_ > 0) PrintSampling();
    if (info_.trains()) PrintTraining();
    if (evaluations_ > 0) {
      std::cout << "; " << FormatCount(evaluations_) << " x evaluate "
                << FormatCount(per_evaluation_) << " samples";
    }
    std::cout << "\n";
  }

 private:
  // An online stage takes its prompts in turn and may see a problem several times.
  double OnlineSamples() const {
    return double(info_.Count("prompts").value_or(1)) *
           info_.Count("samples_per_prompt").value_or(1);
  }
  double EvalEvery() const { return info_.Count("eval_every").value_or(1); }

  void PrintSampling() const {
    std::cout << ", ";
    if (info_.Count("rounds")) std::cout << rounds_ << " rounds of ";
    if (info_.Count("steps")) std::cout << rounds_ << " steps of ";
    std::cout << FormatCount(per_round_) << " samples ("
              << info_.Count("samples_per_prompt").value_or(1) << " per prompt)";
    if (at_most_per_round_ > per_round_) {
      std::cout << " whose groups differ, from at most " << FormatCount(at_most_per_round_);
    }
    if (const auto* advantage = info_.Part<PpoSettings::Advantage>()) {
      std::cout << ", advantages by "
                << PpoSettings::Advantage::Estimator_Name(advantage->estimator());
    }
  }

  void PrintTraining() const {
    const TrainingSettings& training = stage_.training();
    const uint32_t epochs = info_.Count("ppo_epochs").value_or(training.epochs());
    std::cout << ", " << epochs << (epochs == 1 ? " epoch" : " epochs") << " in batches of "
              << training.batch_size();
    if (problems_ > 0) {
      const double batches = std::max(1.0, problems_ / training.batch_size());
      std::cout << ", " << FormatCount(batches * epochs) << " optimizer steps";
    }
  }

  const Stage& stage_;
  const StageInfo info_;
  const uint32_t rounds_;
  double per_round_ = 0, at_most_per_round_ = 0;  // samples
  double problems_ = 0;                           // 0: not known before the stage has sampled
  double evaluations_ = 0, per_evaluation_ = 0;
};

// Prints the stages with their counts and adds up the samples.
Samples PrintStages(const RunConfig& config, const DataFacts& data) {
  Samples total;
  std::cout << "stages\n";
  if (!HasInit(config)) {
    total.evaluation = StageLine::EvaluationSamples(config, data);
    std::cout << "  start: evaluate " << FormatCount(total.evaluation) << " samples\n";
  }
  for (const Stage& stage : config.stage()) {
    const StageLine line(config, stage, data);
    line.Print();
    total.training += line.samples().training;
    total.evaluation += line.samples().evaluation;
  }
  std::cout << "  in all: at most " << FormatCount(total.training) << " training samples, "
            << FormatCount(total.evaluation) << " evaluation samples\n";
  return total;
}

double PrintEstimate(const std::string& title, const MemoryEstimate& estimate) {
  for (const MemoryLine& line : estimate.lines) {
    Line(title + ": " + line.what, line.bytes, line.why);
  }
  return estimate.total();
}

// What is on one GPU at a time. `remedy` is what to do when it does not fit.
void PrintGpu(const std::string& what, double bytes, const std::string& remedy) {
  const double share = bytes / kGpuBytes;
  Line(what + ", in all", bytes,
       share <= 1 ? absl::StrFormat("%.0f%% of a GPU of 80 GiB", 100 * share)
                  : absl::StrFormat("%.1f GPUs of 80 GiB: does not fit; %s", share, remedy));
}

// What the processes on CPUs take together.
void PrintMachine(const std::vector<std::string>& processes, double total, Site site) {
  const std::string what = "in all, " + absl::StrJoin(processes, ", ");
  if (site != Site::kThisMachine) return Line(what, total, "of a cluster");
  const MachineLimits limits = ReadMachineLimits();
  const auto available = static_cast<double>(limits.available_memory_bytes);
  Line(what, total, absl::StrCat("of ", FormatBytes(available), " available"));
  if (limits.memory_bytes > 0 && total > available) {
    std::cout << "  TOO LITTLE MEMORY: lower actor.kv_cache_mib, learner.micro_batch_tokens, "
                 "resources.actors or resources.learner_ranks\n";
  }
}

absl::Status PrintMemory(RunConfig config, const ModelSize& model, Site site) {
  PlanSharding(&model, site, &config);
  const bool shares = site == Site::kThisMachine && SharesGpus(config);
  ASSIGN_OR_RETURN(const bool turns, TakesTurns(config, shares));
  const Placement of_actor = ActorPlacement(config, site), of_rank = LearnerPlacement(config, site);
  const bool actor_on_gpu = of_actor == Placement::kGpu, rank_on_gpu = of_rank == Placement::kGpu;
  const StageMemory learner = LearnerMemory(config, model, of_rank, FolderAt(site));
  std::cout << "learner.sharding: " << LearnerSettings::Sharding_Name(config.learner().sharding())
            << (config.learner().activation_checkpointing() ? ", activation_checkpointing" : "")
            << "\n"
            << (actor_on_gpu && rank_on_gpu ? "memory per GPU"
                : !actor_on_gpu && !rank_on_gpu && site == Site::kThisMachine
                    ? "memory on this machine"
                    : "memory per process")
            << ", about\n";
  const ResourceSettings& resources = config.resources();
  const double actor = PrintEstimate("actor", ActorMemory(config, model, of_actor));
  const double rank = PrintEstimate("learner in " + learner.stage, learner.estimate);
  const std::string less_actor = "lower actor.kv_cache_mib",
                    less_rank =
                        "raise resources.learner_ranks, train adapters "
                        "(training.lora_rank) or lower learner.micro_batch_tokens";
  if (shares && turns) {
    // Of several actors on a GPU one has its turn, and the others keep nothing there.
    PrintGpu("GPU in an actor's turn, with what the learner keeps", actor + learner.estimate.kept(),
             less_actor);
    PrintGpu("GPU in the learner's turn", rank, less_rank);
    return absl::OkStatus();
  }
  if (shares) {
    PrintGpu(resources.learner_ranks() == 1 ? "GPU that all share"
                                            : "GPU that a rank shares with actors",
             actor * ActorsOnACard(config) + rank, less_rank);
    return absl::OkStatus();
  }
  if (actor_on_gpu) PrintGpu("actor", actor, less_actor);
  if (rank_on_gpu) PrintGpu("learner rank", rank, less_rank);
  std::vector<std::string> on_cpus;
  double total = 0;
  if (!actor_on_gpu) {
    on_cpus.push_back(absl::StrCat(resources.actors(), " actors"));
    total += actor * resources.actors();
  }
  if (!rank_on_gpu) {
    on_cpus.push_back(absl::StrCat(resources.learner_ranks(), " ranks"));
    total += rank * resources.learner_ranks();
  }
  if (!on_cpus.empty()) PrintMachine(on_cpus, total, site);
  return absl::OkStatus();
}

void PrintDisk(const RunConfig& config, const ModelSize& model, const Samples& samples) {
  std::cout << "disk in " << config.output_dir() << "/" << config.name() << ", at most about\n";
  double total = 0;
  for (const DiskLine& line : DiskEstimate(config, model, samples.training + samples.evaluation)) {
    Line(line.what, line.bytes, line.why);
    total += line.bytes;
  }
  const auto free = static_cast<double>(FreeDiskBytes(config.output_dir()));
  Line("in all", total, absl::StrCat("of ", FormatBytes(free), " free"));
  if (free > 0 && total > free)
    std::cout << "  TOO LITTLE DISK SPACE: set output_dir to a folder on a larger disk\n";
}

// Facts of a model or of data, or why they could not be read. Files that are missing are no error
// of a dry run.
template <typename T>
absl::StatusOr<std::optional<T>> UnlessMissing(absl::StatusOr<T> facts,
                                               std::vector<std::string>* unchecked) {
  if (facts.ok()) return std::optional<T>(*std::move(facts));
  if (!absl::IsNotFound(facts.status())) return facts.status();
  for (const absl::string_view line : absl::StrSplit(facts.status().message(), '\n')) {
    // A new model's vocabulary is made of data that is missing as well.
    if (!absl::c_linear_search(*unchecked, line)) unchecked->emplace_back(line);
  }
  return std::nullopt;
}

}  // namespace

absl::Status DryRun(const RunConfig& config, Site site) {
  std::cout << FormatConfig(config) << "\n";
  std::vector<std::string> unchecked, ignored;
  ASSIGN_OR_RETURN(std::optional<ModelFacts> model,
                   UnlessMissing(InspectModel(config), &unchecked));
  if (!model) {
    ASSIGN_OR_RETURN(model, UnlessMissing(InspectShape(config), &ignored));
  }
  if (model) {
    std::cout << "model: " << FormatCount(ParameterCount(model->shape)) << " parameters, "
              << FormatBytes(static_cast<double>(model->weight_bytes)) << ", "
              << model->shape.num_layers << " layers\n";
    for (const std::string& note : model->notes) std::cout << "  " << note << "\n";
  }
  ASSIGN_OR_RETURN(std::optional<DataFacts> data, UnlessMissing(InspectData(config), &unchecked));
  const bool read = data.has_value();
  if (read) {
    const absl::StatusOr<std::vector<std::string>> fit = CheckPromptsFit(config, *data);
    if (!fit.ok() && !absl::IsNotFound(fit.status())) return fit.status();
    if (fit.ok()) data->notes.insert(data->notes.end(), fit->begin(), fit->end());
  }
  if (!read) data = PublishedSizes(config);
  Samples samples;
  if (data) {
    std::cout << "data: " << FormatCount(static_cast<double>(data->train)) << " training and "
              << FormatCount(static_cast<double>(data->eval)) << " evaluation problems"
              << (read ? "" : ", the sizes of the published files") << "\n";
    for (const std::string& note : data->notes) std::cout << "  " << note << "\n";
    samples = PrintStages(config, *data);
  }
  if (model) {
    RETURN_IF_ERROR(PrintMemory(config, *model, site));
    PrintDisk(config, *model, samples);
  }
  for (const std::string& line : unchecked) std::cout << "not checked: " << line << "\n";
  std::cout << "dry run: nothing was started\n";
  return absl::OkStatus();
}

}  // namespace reckon
