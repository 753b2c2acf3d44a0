#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/commands.h"
#include "cli/machine.h"
#include "cli/memory_plan.h"
#include "cli/model_facts.h"
#include "cli/progress_display.h"
#include "common/base/status_macros.h"
#include "common/config/config.h"
#include "common/init/init_model.h"

namespace reckon {
namespace {

// A stored rollout: tokens, log-probabilities, text (DESIGN: 1 to 4 KB).
constexpr double kRolloutBytes = 3072;
constexpr double kGpuBytes = 80.0 * (1 << 30);

void Line(const std::string& what, double bytes, const std::string& why) {
  std::cout << absl::StrFormat("  %-44s %10s   %s\n", what, FormatBytes(bytes), why);
}

struct Samples {
  double sampled = 0, evaluations = 0, evaluated = 0;
};

// Prints the stages with their counts and adds up the samples.
Samples PrintStages(const RunConfig& config, const DataFacts& data) {
  Samples total;
  auto evaluate = [&] {
    double samples = static_cast<double>(data.eval) * (1 + config.eval().samples());
    total.evaluations += 1;
    total.evaluated += samples;
    return absl::StrCat("evaluate: ", FormatCount(samples), " samples of ",
                        FormatCount(static_cast<double>(data.eval)), " problems");
  };
  std::cout << "stages\n";
  if (!HasInit(config)) std::cout << "  start: " << evaluate() << "\n";
  for (const Stage& stage : config.stage()) {
    std::cout << "  " << stage.name() << ": ";
    const TrainingSettings& training = stage.training();
    auto at_most = [](int64_t all, uint32_t limit) {
      return static_cast<double>(limit == 0 ? all : std::min<int64_t>(all, limit));
    };
    if (stage.has_sft()) {
      double sequences = at_most(data.train, stage.sft().limit());
      std::cout << "sft on " << FormatCount(sequences) << " worked solutions, " << training.epochs()
                << " epochs, "
                << FormatCount(std::max(1.0, sequences / training.batch_size()) * training.epochs())
                << " steps; then " << evaluate() << "\n";
    } else if (stage.has_ei()) {
      double samples = at_most(data.train, stage.ei().prompts()) * stage.ei().samples_per_prompt();
      total.sampled += samples * stage.ei().rounds();
      std::cout << "expert iteration, " << stage.ei().rounds() << " rounds of "
                << FormatCount(samples) << " samples (" << stage.ei().samples_per_prompt()
                << " a prompt), " << training.epochs() << " epochs on what is kept; after each, ";
      std::string line;
      for (uint32_t round = 0; round < stage.ei().rounds(); ++round) line = evaluate();
      std::cout << line << "\n";
    } else if (stage.has_ppo()) {
      const PpoSettings& ppo = stage.ppo();
      const double samples = double(ppo.prompts()) * ppo.samples_per_prompt();
      const double evaluations = std::ceil(double(ppo.steps()) / ppo.eval_every());
      const double at_most_sampled = samples * ppo.max_num_gen_batches();
      total.sampled += at_most_sampled * ppo.steps();
      std::cout << ppo.steps() << " steps of " << FormatCount(samples) << " samples ("
                << ppo.samples_per_prompt() << " a prompt)";
      if (ppo.max_num_gen_batches() > 1) {
        std::cout << " of groups that differ, from at most " << FormatCount(at_most_sampled);
      }
      std::cout << ", advantages by " << PpoSettings::AdvEstimator_Name(ppo.adv_estimator()) << ", "
                << ppo.ppo_epochs() << " epochs in minibatches of " << training.batch_size()
                << "; ";
      std::string line;
      for (double i = 0; i < evaluations; ++i) line = evaluate();
      std::cout << FormatCount(evaluations) << " times " << line << "\n";
    } else if (stage.has_orm()) {
      const double samples =
          at_most(data.train, stage.orm().prompts()) * stage.orm().samples_per_prompt();
      total.sampled += samples;
      std::cout << "an outcome reward model from " << FormatCount(samples) << " samples ("
                << stage.orm().samples_per_prompt() << " a prompt), " << training.epochs()
                << " epochs; then " << evaluate() << "\n";
    } else if (stage.has_rcrl()) {
      std::cout << "return-conditioned fine-tuning on the samples of " << stage.rcrl().selection()
                << ", labelled by " << stage.rcrl().orm() << ", " << training.epochs()
                << " epochs; then " << evaluate() << "\n";
    } else if (stage.has_init()) {
      std::cout << "a model from nothing\n";
    } else {
      std::cout << evaluate() << "\n";
    }
  }
  std::cout << "  in all: at most " << FormatCount(total.sampled) << " training samples, "
            << FormatCount(total.evaluated) << " evaluation samples\n";
  return total;
}

double PrintPlan(const std::string& title, const MemoryPlan& plan) {
  for (const MemoryLine& line : plan.lines) Line(title + ": " + line.what, line.bytes, line.why);
  return plan.total();
}

// A process on a GPU of its own.
void PrintGpu(const std::string& what, double bytes, const std::string& less) {
  const double share = bytes / kGpuBytes;
  Line(what + ", in all", bytes,
       share <= 1 ? absl::StrFormat("%.0f%% of a GPU of 80 GiB", 100 * share)
                  : absl::StrFormat("%.1f GPUs of 80 GiB: does not fit; %s", share, less));
}

void PrintMemory(const RunConfig& config, const ModelConfig& shape) {
  const ModelSettings::Device device = config.model().device();
  const bool gpu = device == ModelSettings::CUDA ||
                   (device == ModelSettings::AUTO && access("/dev/nvidiactl", F_OK) == 0);
  const Placement placement = gpu ? Placement::kGpu : Placement::kCpu;
  const StageMemory learner = LearnerMemory(config, shape, placement);
  std::cout << (gpu ? "memory per GPU, about\n" : "memory on this machine, about\n");
  const double actor = PrintPlan("actor", ActorMemory(config, shape, placement));
  if (gpu) PrintGpu("actor", actor, "lower actor.kv_cache_mib");
  const double rank = PrintPlan("learner in " + learner.stage, learner.plan);
  if (gpu) {
    PrintGpu("learner rank", rank,
             "train adapters (training.lora_rank) or lower learner.micro_batch_tokens");
    return;
  }
  const double total = actor * config.actor().count() + rank * config.learner().ranks();
  const auto available = static_cast<double>(AvailableMemoryBytes());
  Line(absl::StrCat("in all, ", config.actor().count(), " actors, ", config.learner().ranks(),
                    " ranks"),
       total, absl::StrCat("of ", FormatBytes(available), " available"));
  if (available > 0 && total > available) {
    std::cout << "  TOO LITTLE MEMORY: lower actor.kv_cache_mib, learner.micro_batch_tokens, "
                 "actor.count or learner.ranks\n";
  }
}

void PrintDisk(const RunConfig& config, const ModelFacts& model, const Samples& samples) {
  const double trained = TrainedCount(config, model.shape);
  double store = (samples.sampled + samples.evaluated) * kRolloutBytes;
  double checkpoints = config.keep_last() * trained * 12;
  double weights = (config.keep_last() + 1.0) * static_cast<double>(model.weight_bytes);
  double total = store + checkpoints + weights;
  auto free = static_cast<double>(FreeDiskBytes(config.output_dir()));
  std::cout << "disk in " << config.output_dir() << "/" << config.name() << ", at most about\n";
  Line("store", store, "3 KB a sample");
  Line("checkpoints", checkpoints,
       absl::StrCat("keep_last ", config.keep_last(), ", 12 B a trained parameter"));
  Line("weights", weights, "model folders");
  Line("in all", total, absl::StrCat("of ", FormatBytes(free), " free"));
  if (free > 0 && total > free) std::cout << "  TOO LITTLE DISK: set output_dir elsewhere\n";
}

}  // namespace

absl::Status DryRun(const RunConfig& config) {
  std::cout << FormatConfig(config) << "\n";
  std::vector<std::string> unchecked;
  absl::StatusOr<ModelFacts> model = InspectModel(config);
  if (absl::IsNotFound(model.status())) {
    unchecked.push_back(std::string(model.status().message()));
    model = InspectShape(config);
  }
  if (!model.ok() && !absl::IsNotFound(model.status())) return model.status();
  std::string counted;
  absl::StatusOr<DataFacts> data = InspectData(config);
  if (absl::IsNotFound(data.status())) {
    unchecked.push_back(std::string(data.status().message()));
    if (std::optional<DataFacts> sizes = PublishedSizes(config)) {
      data = *sizes;
      counted = ", as the published files have them";
    }
  }
  if (!data.ok() && !absl::IsNotFound(data.status())) return data.status();

  Samples samples;
  if (model.ok()) {
    std::cout << "model: " << FormatCount(ParameterCount(model->shape)) << " parameters, "
              << FormatBytes(static_cast<double>(model->weight_bytes)) << ", "
              << model->shape.num_layers << " layers\n";
  }
  if (data.ok()) {
    std::cout << "data: " << FormatCount(static_cast<double>(data->train)) << " training and "
              << FormatCount(static_cast<double>(data->eval)) << " evaluation problems" << counted
              << "\n";
    samples = PrintStages(config, *data);
  }
  if (model.ok()) {
    PrintMemory(config, model->shape);
    PrintDisk(config, *model, samples);
  }
  for (const std::string& line : unchecked) std::cout << "not checked: " << line << "\n";
  std::cout << "dry run: nothing was started\n";
  return absl::OkStatus();
}

}  // namespace reckon
