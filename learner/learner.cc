#include "learner/learner.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/host_port.h"
#include "common/base/machine_limits.h"
#include "common/base/status_macros.h"
#include "common/base/thread_pool.h"
#include "common/model/init/init_model.h"
#include "common/model/kernels/torch/torch_ops.h"
#include "common/model/model_shape.h"
#include "common/model/shared_bytes.h"
#include "common/model/torch_status.h"
#include "common/telemetry/progress.h"
#include "learner/algorithm/algorithm.h"
#include "learner/algorithm/registry.h"
#include "learner/checkpoint/shared_checkpoint.h"
#include "learner/context/context.h"
#include "learner/context/shared_device.h"
#include "learner/evaluate/evaluate.h"
#include "learner/parallel/membership.h"
#include "learner/parallel/rank_groups.h"
#include "learner/parallel/shared_weights.h"
#include "learner/parallel/single.h"
#include "learner/preparation.h"
#include "learner/publish/broadcaster.h"
#include "learner/report/learner_metrics.h"
#include "learner/run/resume.h"
#include "learner/run/start.h"
#include "learner/run/versions.h"
#include "learner/stages.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

// The sequence of steps in learner.h.
class Learner {
 public:
  Learner(const LearnerOptions& options, std::shared_ptr<Coordinator::StubInterface> stub,
          std::stop_token stop)
      : options_(options), program_stop_(stop), stub_(std::move(stub)) {
    if (IsLeader()) {
      run_.config = options.config;
      run_.run_dir = options.run_dir;
    }
    run_.checkpoint_interval = options.checkpoint_interval;
    run_.checkpoint_steps = options.checkpoint_steps;
    run_.writer = &writer_;
  }

  absl::Status Run() {
    RETURN_IF_ERROR(Prepare());
    metrics_.activity.SetStarted();
    metrics_.activity.SetReady(true);
    metrics_.activity.Enter(LearnerMetrics::kOther);
    metrics_.version.Set(static_cast<double>(run_.cursor.version()));
    RankContext ranks = Ranks();
    RETURN_IF_ERROR(RunStages(ranks));
    RETURN_IF_ERROR(SettleSave(ranks, /*wait=*/true));
    if (leader_.has_value()) {
      ASSIGN_OR_RETURN(std::vector<std::string> table, SummariseEvaluations(run_.run_dir));
      for (const std::string& line : table) run_.reporter->AddLine(line);
      run_.reporter->Finish();
    }
    // The other ranks wait for the last evaluation, so that the group ends together.
    std::string done = "done";
    return groups_.all->Broadcast(&done);
  }

  // Ends the membership of a rank that ended with `status`; returns the first cause.
  absl::Status End(absl::Status status) {
    writer_.Await();  // what was being saved when the rank failed is saved, if the term continues
    return membership_ == nullptr ? status : membership_->End(std::move(status));
  }

 private:
  bool IsLeader() const { return options_.rank == 0; }
  RankContext Ranks() {
    return {run_, *groups_.all, leader_.has_value() ? &*leader_ : nullptr, groups_.senders.get()};
  }

  absl::Status Prepare() {
    if (options_.world_size > 1) RETURN_IF_ERROR(EnterTerm());
    if (IsLeader()) {
      RETURN_IF_ERROR(UseMachine());
      ASSIGN_OR_RETURN(continues_,
                       ContinuesRun(run_.run_dir, run_.config, options_.resume, options_.launch));
      ASSIGN_OR_RETURN(data_, PrepareRun(run_));
    }
    if (options_.world_size == 1) RETURN_IF_ERROR(EnterTerm());
    if (IsLeader()) DeleteHalfWritten(run_.run_dir);
    RETURN_IF_ERROR(ConnectRanks());
    ASSIGN_OR_RETURN(run_.all_reach_run_dir,
                     AllReachFolder(*groups_.all, run_.run_dir, options_.share_run_dir));
    const RunConfig& config = run_.config;
    const std::string& adapted = HasInit(config) ? "" : config.model().base();
    RETURN_IF_ERROR(ShareWeights(
        *groups_.all, {HasInit(config) ? "" : config.model().path(), adapted}, &run_.base));
    ASSIGN_OR_RETURN(const ModelConfig shape, ModelShape(run_.base.texts()));
    RETURN_IF_ERROR(FindCheckpoint(run_, *groups_.all, continues_));
    run_.saved = run_.cursor;
    RETURN_IF_ERROR(StartReporter());
    if (IsLeader()) RETURN_IF_ERROR(StartLeader());
    RETURN_IF_ERROR(CheckRowInvariance(shape, ComputeType(config), backend_));
    ModelMemory memory = {.recompute = config.learner().activation_checkpointing()};
    RankContext ranks = Ranks();
    RETURN_IF_ERROR(AllNeedDevices(ranks));
    RETURN_IF_ERROR(ConnectSenders());
    // AUTO is a matter of `reckon`, which knows the machines.
    if (config.learner().sharding() == LearnerSettings::FULL) {
      memory.shard_group = groups_.all.get();
    } else if (replica_sums_.has_value()) {
      memory.shard_group = groups_.shards.get();
      memory.replicas = &*replica_sums_;
    }
    model_ = std::make_unique<Transformer>(shape, ComputeType(config), backend_, memory);
    run_.model = model_.get();
    // Actors on this host then compute from what the policy's passes read.
    if (leader_.has_value() && !model_->sharded() && backend_ == Backend::kCpuKernels &&
        publisher_->local()) {
      model_->PackInto([this](int64_t bytes) {
        run_.packed = publisher_->packed_buffers().Take(bytes).value_or(nullptr);
        return run_.packed == nullptr ? at::Tensor() : TensorOver(run_.packed);
      });
    }
    if (!TrainsWholeModel()) return absl::OkStatus();
    RETURN_IF_ERROR(model_->Load(run_.base.manifest, run_.base.bytes->bytes(), /*trainable=*/true));
    RETURN_IF_ERROR(ShareModel(run_));
    if (!run_.resume.has_value()) SharesVersion(run_);
    return absl::OkStatus();
  }

  // Whether what is trained next is the whole model. A stage with adapters loads that itself,
  // frozen: the weights in fp32 might not fit. A run that trains nothing needs no model.
  bool TrainsWholeModel() const {
    if (run_.resume.has_value() && !run_.cursor.has_adapted_version()) return true;
    for (auto i = static_cast<int>(run_.cursor.stage()); i < run_.config.stage_size(); ++i) {
      if (MakeAlgorithm(run_.config, i) == nullptr) continue;
      return run_.config.stage(i).training().lora_rank() == 0;
    }
    return false;
  }

  absl::Status UseMachine() {
    int threads = static_cast<int>(run_.config.resources().learner().cpus());
    if (threads == 0) threads = std::max(1, UsableCores() / options_.world_size);
    SetComputeThreads(threads);
    at::set_num_threads(1);  // OpenMP's threads spin; the kernels have their own
    const std::string& device = ModelSettings::Device_Name(run_.config.model().device());
    ASSIGN_OR_RETURN(backend_, ChooseBackend(device, run_.config.model().row_invariant()));
    return ShareDevice();
  }

  absl::Status ShareDevice() {
    const bool turns =
        backend_ == Backend::kTorchCuda || run_.config.resources().turns() == ResourceSettings::ON;
    if (options_.turn_file.empty() || !turns) return absl::OkStatus();
    ASSIGN_OR_RETURN(turn_, DeviceTurn::Open(options_.turn_file));
    run_.turn = turn_.get();
    return absl::OkStatus();
  }

  absl::Status EnterTerm() {
    const ActivityScope wait(&metrics_.activity, LearnerMetrics::kWaitGroup);
    MembershipOptions options;
    options.learner = absl::StrCat("rank ", options_.rank);
    options.rank = options_.rank;
    options.world = options_.world_size;
    options.nonce =
        options_.nonce.empty() ? absl::StrCat(absl::ToUnixNanos(absl::Now())) : options_.nonce;
    options.join_timeout = options_.join_timeout;
    options.stop_grace = options_.stop_grace;
    ASSIGN_OR_RETURN(membership_, Membership::Begin(stub_, options, program_stop_,
                                                    [this](const std::string& what) {
                                                      ShowWaitingBeforeReporter(what);
                                                    }));
    run_.term = membership_->term();
    run_.stop = membership_->stop();
    run_.group_stop = membership_->group_stop();
    return absl::OkStatus();
  }

  // Connects the ranks, and gives all of them the leader's config.
  absl::Status ConnectRanks() {
    const ActivityScope wait(&metrics_.activity, LearnerMetrics::kWaitGroup);
    if (options_.world_size == 1) {
      groups_.all = MakeSingle();
      run_.turns_taken = turn_ != nullptr;
    } else {
      RETURN_IF_ERROR(membership_->Meet());
      const std::string all = "all";
      ASSIGN_OR_RETURN(groups_.all, Connector().Hosts(all, options_.rank, options_.world_size));
      std::string config = run_.config.SerializeAsString();
      RETURN_IF_ERROR(groups_.all->Broadcast(&config));
      if (!IsLeader()) {
        if (!run_.config.ParseFromString(config)) {
          return absl::DataLossError("the config arrived damaged from rank 0");
        }
        RETURN_IF_ERROR(UseMachine());
      }
      float turns = turn_ == nullptr ? 0 : 1;
      RETURN_IF_ERROR(groups_.all->AllReduceSum(absl::MakeSpan(&turns, 1)));
      run_.turns_taken = turns > 0;
      RankContext ranks = Ranks();
      // NCCL takes some of a GPU's memory.
      if (backend_ == Backend::kTorchCuda) RETURN_IF_ERROR(AllNeedDevices(ranks));
      ASSIGN_OR_RETURN(groups_.all, Connector().Devices(all, backend_, std::move(groups_.all)));
    }
    const LearnerSettings& learner = run_.config.learner();
    if (learner.sharding() != LearnerSettings::HYBRID) return absl::OkStatus();
    const MakeGroup make = [this](const std::string& name, int rank,
                                  int world) -> absl::StatusOr<std::unique_ptr<Parallel>> {
      ASSIGN_OR_RETURN(std::unique_ptr<Parallel> hosts, Connector().Hosts(name, rank, world));
      return Connector().Devices(name, backend_, std::move(hosts));
    };
    RETURN_IF_ERROR(AddHybridGroups(static_cast<int>(learner.shard_ranks()), make, &groups_));
    replica_sums_.emplace(groups_.replicas.get());
    return absl::OkStatus();
  }

  // The ranks of the leader's model, if they send it their parts of checkpoints.
  absl::Status ConnectSenders() {
    const LearnerSettings::Sharding sharding = run_.config.learner().sharding();
    if (run_.all_reach_run_dir ||
        (sharding != LearnerSettings::FULL && sharding != LearnerSettings::HYBRID)) {
      return absl::OkStatus();
    }
    return AddSenders(
        [this](const std::string& name, int rank, int world) {
          return Connector().Hosts(name, rank, world, /*background=*/true);
        },
        &groups_);
  }

  RankConnector Connector() const {
    return RankConnector(options_.interface_address, run_.term, stub_, run_.group_stop);
  }

  void ShowWaitingBeforeReporter(const std::string& what) {
    LOG_IF(INFO, !what.empty()) << "waiting for: " << what;
    if (!IsLeader()) return;
    const absl::Status written = ShowWaiting(run_.run_dir, what);
    LOG_IF(WARNING, !written.ok()) << "progress.json: " << written.message();
  }

  absl::Status StartReporter() {
    if (!IsLeader()) {
      reporter_ = Reporter::Silent();
    } else {
      ASSIGN_OR_RETURN(reporter_,
                       Reporter::Create(run_.run_dir, run_.cursor.step(),
                                        {run_.cursor.lines().begin(), run_.cursor.lines().end()}));
    }
    run_.reporter = reporter_.get();
    if (IsLeader()) ReportLeftOut(*data_, *run_.reporter);
    if (run_.resume.has_value()) {
      run_.reporter->AddLine(absl::StrCat("resumed from ", run_.resume->path));
    }
    return absl::OkStatus();
  }

  // Null: versions are not broadcast.
  absl::StatusOr<std::unique_ptr<Broadcaster>> MakeBroadcaster() const {
    const LearnerSettings::Broadcast broadcast = run_.config.learner().broadcast();
    if (broadcast == LearnerSettings::OFF) return nullptr;
    BroadcasterOptions options;
    options.host = options_.interface_address;
    options.gpu = broadcast == LearnerSettings::NCCL;
    if (options.gpu && backend_ != Backend::kTorchCuda) {
      return absl::InvalidArgumentError(
          "learner.broadcast is NCCL, and the learner does not compute on a GPU; GLOO broadcasts "
          "over TCP");
    }
    if (options.gpu && run_.turn != nullptr) {
      return absl::InvalidArgumentError(
          "learner.broadcast is NCCL, which sends from the learner's GPU in an actor's turn as "
          "well; set learner.broadcast to GLOO or OFF, or resources.turns to OFF");
    }
    ASSIGN_OR_RETURN(const HostPort listen, ParseHostPort(options_.listen));
    HostPort own;
    own.host = options.host;
    if (own.is_loopback() && !listen.is_loopback()) {
      return absl::InvalidArgumentError(
          absl::StrCat("learner.broadcast is ", LearnerSettings::Broadcast_Name(broadcast),
                       ", and no actor elsewhere reaches --interface_address=", options.host,
                       "; give rank 0 the address of the network that broadcasts may use"));
    }
    return std::make_unique<Broadcaster>(std::move(options));
  }

  absl::Status StartLeader() {
    const auto show_outage = [this](const absl::Status& outage) {
      reporter_->SetWaitingFor(outage.ok() ? "" : "the coordinator does not answer");
      metrics_.activity.SetOutage(!outage.ok());
    };
    plans_ = std::make_unique<PlanClient>(stub_.get(), run_.term, run_.stop, show_outage);
    ASSIGN_OR_RETURN(std::unique_ptr<Broadcaster> broadcaster, MakeBroadcaster());
    ASSIGN_OR_RETURN(publisher_, Publisher::Start(options_.listen, options_.announce,
                                                  options_.security, stub_.get(), run_.term,
                                                  run_.stop, show_outage, std::move(broadcaster)));
    leader_.emplace(LeaderContext{run_, *stub_, *plans_, *publisher_, *data_, *membership_});
    RETURN_IF_ERROR(KeepEvaluated(*leader_));
    return PublishStored(*leader_, StoredAdaptersContinue());
  }

  // Whether the run resumes from adapters that its next round trains on, with which a version is
  // published as it would be without the interruption.
  bool StoredAdaptersContinue() const {
    const Cursor& cursor = run_.cursor;
    if (!run_.resume.has_value() || !cursor.has_adapted_version()) return false;
    const int64_t done = cursor.round() - (cursor.phase() == Cursor::TRAINED ? 0 : 1);
    return done >= 0 &&
           MakeAlgorithm(run_.config, static_cast<int>(cursor.stage()))->ContinuesAfter(done);
  }

  LearnerMetrics& metrics_ = LearnerMetrics::Process();
  const LearnerOptions options_;
  const std::stop_token program_stop_;
  const std::shared_ptr<Coordinator::StubInterface> stub_;
  Backend backend_ = Backend::kCpuKernels;
  std::unique_ptr<DeviceTurn> turn_;
  RunState run_;
  bool continues_ = false;         // the leader's: an earlier start of the run
  std::unique_ptr<RunData> data_;  // the leader's
  std::unique_ptr<Membership> membership_;
  RankGroups groups_;
  std::optional<ReplicaSums> replica_sums_;  // of HYBRID
  std::unique_ptr<PlanClient> plans_;        // the leader's
  std::unique_ptr<Publisher> publisher_;     // the leader's
  std::unique_ptr<Reporter> reporter_;
  std::unique_ptr<Transformer> model_;
  std::optional<LeaderContext> leader_;
  CheckpointWriter writer_;  // last: its thread uses the others
};

}  // namespace

absl::Status RunLearner(const LearnerOptions& options,
                        std::shared_ptr<Coordinator::StubInterface> stub, std::stop_token stop) {
  // Loading, attaching adapters, making heads, saving: what has no border of its own.
  Learner learner(options, std::move(stub), stop);
  absl::Status status = CatchTorchErrors("learner", [&] { return learner.Run(); });
  return learner.End(std::move(status));
}

}  // namespace reckon
