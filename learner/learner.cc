#include "learner/learner.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/init/init_model.h"
#include "common/model/ops/thread_pool.h"
#include "learner/algorithm/algorithm.h"
#include "learner/algorithm/evaluate.h"
#include "learner/algorithm/learner_context.h"
#include "learner/coordinator_call.h"
#include "learner/parallel/gloo_parallel.h"
#include "learner/parallel/nccl_parallel.h"
#include "learner/publish/snapshot.h"

namespace reckon {
namespace {

namespace fs = std::filesystem;

// Refuses to mix a new run with an old one's files.
absl::Status CheckFresh(const std::string& run_dir) {
  std::error_code error;
  if (ListCheckpoints(run_dir).empty() && !fs::exists(run_dir + "/eval", error)) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat(run_dir, " holds an earlier run; go on with --resume, or choose another name"));
}

class Learner {
 public:
  Learner(const LearnerOptions& options, std::shared_ptr<Coordinator::StubInterface> stub,
          const StopToken* stop)
      : options_(options), stub_(std::move(stub)) {
    context_.config = options.config;
    context_.run_dir = options.run_dir;
    context_.checkpoint_interval = options.checkpoint_interval;
    context_.checkpoint_steps = options.checkpoint_steps;
    context_.stop = stop;
  }

  absl::Status Run() {
    absl::Status prepared = Prepare();
    if (!prepared.ok()) return prepared;
    RETURN_IF_ERROR(RunStages());
    if (IsLeader()) {
      ASSIGN_OR_RETURN(std::vector<std::string> table, SummariseEvaluations(context_.run_dir));
      for (const std::string& line : table) context_.reporter->AddLine(line);
      context_.reporter->Finish();
    }
    // The others wait for the last evaluation: the group ends together.
    std::string done = "done";
    return context_.parallel->Broadcast(&done);
  }

 private:
  bool IsLeader() const { return options_.rank == 0; }

  absl::Status Prepare() {
    const RunConfig& config = context_.config;
    int cores = static_cast<int>(std::thread::hardware_concurrency());
    int threads = static_cast<int>(config.learner().threads());
    if (threads == 0) threads = std::max(1, cores / options_.world_size);
    SetComputeThreads(threads);
    at::set_num_threads(1);  // OpenMP's threads spin; the kernels have their own

    ASSIGN_OR_RETURN(backend_, ChooseBackend(ModelSettings::Device_Name(config.model().device())));
    if (!options_.resume && IsLeader()) RETURN_IF_ERROR(CheckFresh(context_.run_dir));
    ModelConfig shape;
    if (IsLeader()) {
      RETURN_IF_ERROR(MakeInitialModel());
      RETURN_IF_ERROR(LoadBase(&shape));
      RETURN_IF_ERROR(CheckShape(config, shape));
      ASSIGN_OR_RETURN(data_, LoadRunData(config, context_.base.manifest));
      RETURN_IF_ERROR(CheckRunData(config, *data_, shape.max_positions));
      context_.data = data_.get();
    }
    RETURN_IF_ERROR(Join());
    std::string there = "the model folder is there";
    RETURN_IF_ERROR(parallel_->Broadcast(&there));
    if (!IsLeader()) RETURN_IF_ERROR(LoadBase(&shape));
    RETURN_IF_ERROR(FindCheckpoint());
    if (IsLeader()) {
      ASSIGN_OR_RETURN(publisher_, Publisher::Start(options_.listen, stub_.get(), context_.epoch,
                                                    context_.stop));
      context_.publisher = publisher_.get();
      RETURN_IF_ERROR(PublishNewest());  // first, so that actors load while the learner does
    }
    Compute compute =
        config.model().compute() == ModelSettings::FP32 ? Compute::kFp32 : Compute::kBf16;
    ASSIGN_OR_RETURN(model_, Transformer::Create(shape, compute, backend_));
    RETURN_IF_ERROR(model_->Load(context_.base.manifest, context_.base.bytes->bytes(),
                                 /*trainable=*/true));
    context_.model = model_.get();
    return absl::OkStatus();
  }

  // The init stage, for once.
  absl::Status MakeInitialModel() {
    const std::string folder = BaseModelFolder(context_.config, context_.run_dir);
    if (!HasInit(context_.config) || fs::exists(folder)) return absl::OkStatus();
    ASSIGN_OR_RETURN(Weights weights, InitModel(context_.config));
    RETURN_IF_ERROR(MakeFolders(fs::path(folder).parent_path().string()));
    return WriteModelFolder(folder, weights.manifest, weights.bytes->bytes());
  }

  absl::Status LoadBase(ModelConfig* shape) {
    ASSIGN_OR_RETURN(context_.base,
                     ReadModelFolder(BaseModelFolder(context_.config, context_.run_dir)));
    ASSIGN_OR_RETURN(*shape, ModelConfig::Parse(context_.base.manifest.config_json()));
    return absl::OkStatus();
  }

  // Enters the epoch and connects the ranks.
  absl::Status Join() {
    BeginEpochRequest request;
    request.set_learner(context_.config.name());
    request.set_world_size(options_.world_size);
    request.set_nonce(options_.nonce.empty() ? absl::StrCat(absl::ToUnixNanos(absl::Now()))
                                             : options_.nonce);
    BeginEpochReply reply;
    RETURN_IF_ERROR(CallWithRetry(context_.stop, absl::Minutes(2), [&](grpc::ClientContext* call) {
      return stub_->BeginEpoch(call, request, &reply);
    }));
    context_.epoch = reply.epoch();
    if (options_.world_size == 1) {
      parallel_ = MakeSingle();
    } else {
      GlooOptions gloo;
      gloo.rank = options_.rank;
      gloo.world = options_.world_size;
      gloo.interface_address = options_.interface_address;
      gloo.epoch = context_.epoch;
      ASSIGN_OR_RETURN(parallel_, MakeGloo(gloo, stub_, context_.stop));
#ifdef RECKON_CUDA
      if (backend_ == Backend::kCuda) {
        ASSIGN_OR_RETURN(parallel_,
                         MakeNccl(std::move(parallel_), context_.epoch, stub_, context_.stop));
      }
#endif
    }
    context_.parallel = parallel_.get();
    if (IsLeader()) {
      plans_ = std::make_unique<PlanClient>(stub_.get(), context_.epoch, context_.stop);
      context_.stub = stub_.get();
      context_.plans = plans_.get();
    }
    return absl::OkStatus();
  }

  // Rank 0 chooses the checkpoint; all load it.
  absl::Status FindCheckpoint() {
    std::string chosen;
    if (options_.resume && IsLeader()) {
      ASSIGN_OR_RETURN(context_.resume, LoadNewestCheckpoint(context_.run_dir));
      if (context_.resume.has_value()) chosen = absl::StrCat(context_.resume->cursor.step);
    }
    RETURN_IF_ERROR(parallel_->Broadcast(&chosen));
    if (!chosen.empty() && !IsLeader()) {
      ASSIGN_OR_RETURN(context_.resume, LoadCheckpoint(context_.run_dir, std::stoll(chosen)));
    }
    if (context_.resume.has_value()) {
      context_.cursor = context_.resume->cursor;
      saved_ = context_.cursor;
      if (context_.cursor.stage >= context_.config.stage_size()) {
        return absl::FailedPreconditionError("the checkpoint is of a config with more stages");
      }
    }
    if (!IsLeader()) {
      reporter_ = Reporter::Silent();
    } else {
      ASSIGN_OR_RETURN(reporter_, Reporter::Create(context_.run_dir, context_.cursor.step,
                                                   context_.cursor.lines));
    }
    context_.reporter = reporter_.get();
    if (context_.resume.has_value()) {
      context_.reporter->AddLine(absl::StrCat("resumed from ", context_.resume->path));
    }
    return absl::OkStatus();
  }

  absl::Status RunStages() {
    if (!context_.resume.has_value() && !HasInit(context_.config)) {
      RETURN_IF_ERROR(EvaluateAs("start"));
    }
    for (; context_.cursor.stage < context_.config.stage_size(); ++context_.cursor.stage) {
      const Stage& stage = context_.stage();
      if (stage.has_init()) continue;  // made before; random weights need no evaluation
      std::unique_ptr<Algorithm> algorithm = MakeAlgorithm(stage);
      if (context_.cursor.phase == Cursor::kBegin && context_.cursor.round == 0) {
        context_.cursor.stage_version = context_.cursor.version;
      }
      if (algorithm != nullptr) RETURN_IF_ERROR(algorithm->Begin(context_));
      // What the resumed stage does not take up itself: the middle of a fine-tuning, moments.
      if (context_.resume.has_value() && context_.cursor.phase != Cursor::kTrain) {
        RETURN_IF_ERROR(Restore(context_));
        if (!context_.resume->moments.has_value()) context_.resume.reset();
      }
      if (algorithm == nullptr) {
        RETURN_IF_ERROR(EvaluateAs(stage.name()));
        continue;
      }
      for (; context_.cursor.round < algorithm->rounds(); ++context_.cursor.round) {
        RETURN_IF_ERROR(RunRound(*algorithm));
        context_.cursor.phase = Cursor::kBegin;
      }
      context_.cursor.round = 0;
      context_.extra.clear();
      context_.resume.reset();
    }
    return absl::OkStatus();
  }

  absl::Status RunRound(Algorithm& algorithm) {
    bool saved = true;
    const int64_t round = context_.cursor.round;
    if (context_.cursor.phase != Cursor::kTrained) {
      RETURN_IF_ERROR(algorithm.Round(context_));
      context_.cursor.phase = Cursor::kTrained;
      context_.cursor.train_step = 0;
      saved = algorithm.SavesAfter(round) || absl::Now() - saved_at_ > context_.checkpoint_interval;
      if (algorithm.updates_policy()) RETURN_IF_ERROR(WriteVersion(algorithm.SavesAfter(round)));
      // What rank 0 wrote, the others may read from here on.
      if (algorithm.SavesAfter(round)) RETURN_IF_ERROR(context_.parallel->Barrier());
      if (saved) {
        RETURN_IF_ERROR(Save(context_, algorithm.moments()));
        saved_ = context_.cursor;
        saved_at_ = absl::Now();
      }
      if (IsLeader() && algorithm.updates_policy()) {
        RETURN_IF_ERROR(PublishNewest());
        DropOldFolders();
      }
    }
    RETURN_IF_ERROR(algorithm.Published(context_, saved));
    return algorithm.EvaluatesAfter(round) ? EvaluateAs(RoundName(context_)) : absl::OkStatus();
  }

  // Makes the model the next version: a folder, not published yet.
  absl::Status WriteVersion(bool show) {
    context_.cursor.version += 1;
    context_.cursor.folders.push_back(RoundName(context_));
    if (!IsLeader()) return absl::OkStatus();
    if (show) {
      context_.reporter->BeginPhase(absl::StrCat(RoundTitle(context_), ": save"), 1, "versions");
    }
    return WriteSnapshot(
        absl::StrCat(context_.run_dir, "/weights/", context_.cursor.folders.back()),
        context_.base.manifest, context_.model->compute(), context_.model->MergedWeights());
  }

  absl::Status EvaluateAs(const std::string& name) {
    if (!IsLeader()) return absl::OkStatus();
    return Evaluate(context_, name).status();
  }

  absl::Status PublishNewest() {
    ASSIGN_OR_RETURN(Weights weights, OpenVersion(context_, context_.cursor.version));
    return context_.publisher->Publish(context_.cursor.version, std::move(weights));
  }

  // Keeps the newest folders, what this stage began with, and what a restart begins with.
  void DropOldFolders() {
    const Cursor& cursor = context_.cursor;
    uint64_t keep = std::max<uint64_t>(1, context_.config.keep_last());
    std::error_code error;
    for (uint64_t version = 1; version + keep <= cursor.version; ++version) {
      if (version == cursor.stage_version || version == saved_.version ||
          version == cursor.adapted_version || version == saved_.adapted_version) {
        continue;
      }
      fs::remove_all(absl::StrCat(context_.run_dir, "/weights/", cursor.folders[version - 1]),
                     error);
    }
  }

  const LearnerOptions options_;
  const std::shared_ptr<Coordinator::StubInterface> stub_;
  Backend backend_ = Backend::kOwn;
  std::unique_ptr<RunData> data_;
  std::unique_ptr<Parallel> parallel_;
  std::unique_ptr<PlanClient> plans_;
  std::unique_ptr<Publisher> publisher_;
  std::unique_ptr<Reporter> reporter_;
  std::unique_ptr<Transformer> model_;
  LearnerContext context_;
  Cursor saved_;  // of the newest checkpoint
  absl::Time saved_at_ = absl::Now();
};

}  // namespace

absl::Status RunLearner(const LearnerOptions& options,
                        std::shared_ptr<Coordinator::StubInterface> stub, const StopToken* stop) {
  return Learner(options, std::move(stub), stop).Run();
}

}  // namespace reckon
