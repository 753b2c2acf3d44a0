#include "learner/preparation.h"

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/paths.h"
#include "common/base/status_macros.h"
#include "common/model/init/init_model.h"
#include "common/model/model_shape.h"
#include "learner/algorithm/algorithm.h"
#include "learner/algorithm/registry.h"
#include "learner/data/checks.h"
#include "learner/run/inputs.h"

namespace reckon {
namespace {

namespace fs = std::filesystem;

// Runs the init stage, unless an earlier attempt of this run did.
absl::Status MakeInitialModel(const RunState& run) {
  const std::string folder = BaseModelFolder(run.config, run.run_dir);
  if (!HasInit(run.config)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const bool exists, PathExists(folder));
  if (exists) return absl::OkStatus();
  ASSIGN_OR_RETURN(Weights weights, InitModel(run.config));
  RETURN_IF_ERROR(MakeFolders(fs::path(folder).parent_path().string()));
  return WriteModelFolder(folder, weights.manifest, weights.bytes->bytes());
}

absl::Status CheckStages(const RunConfig& config, const ModelConfig& shape, const RunData& data) {
  for (int i = 0; i < config.stage_size(); ++i) {
    const std::unique_ptr<Algorithm> algorithm = MakeAlgorithm(config, i);
    if (algorithm == nullptr) continue;
    if (data.train.empty()) return absl::InvalidArgumentError("data.train: no problems");
    RETURN_IF_ERROR(algorithm->Check(shape, data));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<RunData>> PrepareRun(RunState& run) {
  const RunConfig& config = run.config;
  RETURN_IF_ERROR(MakeInitialModel(run));
  const std::string& adapted = HasInit(config) ? "" : config.model().base();
  ASSIGN_OR_RETURN(run.base, ReadModelFolder(BaseModelFolder(config, run.run_dir), adapted));
  ASSIGN_OR_RETURN(const ModelConfig shape, ModelShape(run.base.texts()));
  ASSIGN_OR_RETURN(std::unique_ptr<RunData> data, LoadRunData(config, run.base.texts()));
  RETURN_IF_ERROR(ApplyOverlongRule(config, shape, data.get()));
  RETURN_IF_ERROR(CheckRunData(config, *data, shape));
  RETURN_IF_ERROR(CheckStages(config, shape, *data));
  // From here on the run has a past.
  ASSIGN_OR_RETURN(const RunInputs inputs, InputsOf(config, run.base.manifest));
  RETURN_IF_ERROR(KeepInputs(run.run_dir, inputs));
  return data;
}

void DeleteHalfWritten(const std::string& run_dir) {
  // Where the leader alone writes. What a save left in checkpoints/ goes with the next save.
  for (const char* folder : {"/weights", "/orm", "/eval"}) DeleteTemporaries(run_dir + folder);
}

}  // namespace reckon
