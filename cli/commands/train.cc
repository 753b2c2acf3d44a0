#include "cli/commands/train.h"

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "cli/commands/resource_plan.h"
#include "cli/launcher/local_gpus.h"
#include "cli/launcher/local_roles.h"
#include "cli/launcher/progress_display.h"
#include "cli/launcher/rank_watch.h"
#include "cli/launcher/reward_programs.h"
#include "cli/launcher/run_dir.h"
#include "cli/launcher/supervisor.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/net/channel.h"
#include "common/net/run_certificates.h"
#include "common/telemetry/progress.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {
namespace {

constexpr absl::Duration kRedraw = absl::Milliseconds(250);

// The learner's progress file is the only channel from the run to the command line.
Progress ProgressOf(const RunDir& run_dir) {
  absl::StatusOr<Progress> progress = ReadProgress(run_dir.path());
  return progress.ok() ? *std::move(progress) : Progress();
}

// Starts the roles and keeps them running until the learners have finished.
absl::Status RunRoles(const RunConfig& config, const RunDir& run_dir, LocalPlace place,
                      Supervisor* supervisor, ProgressDisplay* display, std::stop_token stop) {
  ASSIGN_OR_RETURN(place.logs, run_dir.NextLogs());
  RETURN_IF_ERROR(EnsureRunCertificates(run_dir.path(), config.name()).status());
  LocalRoles roles(config, std::move(place));
  supervisor->on_event = [display](const std::string& event) { display->Warn(event); };
  ASSIGN_OR_RETURN(std::string coordinator, roles.StartCoordinator(supervisor, stop));
  // For `reckon show`, and for actors that the user starts.
  RETURN_IF_ERROR(WriteFileAtomically(run_dir.path() + "/coordinator.addr", coordinator + "\n"));
  RETURN_IF_ERROR(roles.StartActors(supervisor, coordinator));

  ASSIGN_OR_RETURN(const auto security,
                   Security::Load(roles.CertificatesFor(Role::kUser), Role::kUser));
  ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel,
                   MakeChannel(coordinator, security));
  RankWatch ranks(Coordinator::NewStub(channel),
                  absl::Milliseconds(config.coordinator().rank_timeout_ms()));
  Supervisor::Group learner;
  learner.trouble = [&] { return ranks.Trouble(); };
  learner.make = [&](int attempt) {
    ranks.NewGroup();
    return roles.Learner(coordinator, MakeNonce(), attempt > 0 || run_dir.resumed());
  };
  learner.progress = [&] { return static_cast<int64_t>(ProgressOf(run_dir).step()); };
  learner.finished = [&] { return ProgressOf(run_dir).finished(); };
  supervisor->SetGroup(std::move(learner));

  absl::Time redraw = absl::InfinitePast();
  auto show = [&] {
    absl::Time now = absl::Now();
    if (now < redraw) return;
    redraw = now + kRedraw;
    if (Progress progress = ProgressOf(run_dir); !progress.phase().empty()) {
      display->Show(progress, now);
    }
  };
  absl::Status status = supervisor->Run(stop, show);
  redraw = absl::InfinitePast();
  show();
  display->Finish();
  return status;
}

// Relative where it is in the working directory, so that lines of a terminal have room for it.
std::string ShownPath(const RunDir& run_dir) {
  std::error_code error;
  const std::string here = std::filesystem::current_path(error).string() + "/";
  return std::string(absl::StripPrefix(run_dir.path(), error ? "" : here));
}

}  // namespace

absl::StatusOr<ModelFacts> CheckInputs(const RunConfig& config) {
  ASSIGN_OR_RETURN(ModelFacts model, InspectModel(config));
  ASSIGN_OR_RETURN(const DataFacts data, InspectData(config));
  ASSIGN_OR_RETURN(const std::vector<std::string> too_long, CheckPromptsFit(config, data));
  model.notes.insert(model.notes.end(), data.notes.begin(), data.notes.end());
  model.notes.insert(model.notes.end(), too_long.begin(), too_long.end());
  return model;
}

absl::StatusOr<bool> HasWork(const RunDir& run_dir) {
  Progress progress = ProgressOf(run_dir);
  if (!progress.finished()) return true;
  if (run_dir.has_more()) {
    progress.set_finished(false);
    RETURN_IF_ERROR(WriteProgress(run_dir.path(), progress));
    return true;
  }
  std::cout << "the run in " << run_dir.path() << " is finished; its results:\n";
  for (const std::string& line : progress.lines()) std::cout << line << "\n";
  return false;
}

absl::Status TrainConfig(RunConfig config, const TrainOptions& options, std::stop_token stop) {
  MakePathsAbsolute(&config);
  ASSIGN_OR_RETURN(RewardPrograms rewards, RewardPrograms::Start(config));
  ASSIGN_OR_RETURN(const ModelFacts model, CheckInputs(config));
  RETURN_IF_ERROR(std::move(rewards).Check());
  PlanSharding(&model, Site::kThisMachine, &config);
  RETURN_IF_ERROR(CheckLocalMemory(config, &model));
  const bool gpu = ComputesOnGpu(config);
  ASSIGN_OR_RETURN(const LocalGpus gpus,
                   AssignGpus(config, gpu, FindGpus(std::getenv("CUDA_VISIBLE_DEVICES"))));
  ASSIGN_OR_RETURN(const bool turns, TakesTurns(config, gpu));
  ASSIGN_OR_RETURN(std::unique_ptr<RunDir> run_dir, RunDir::Open(config, options.resume));
  const Progress earlier = ProgressOf(*run_dir);
  ASSIGN_OR_RETURN(const bool has_work, HasWork(*run_dir));
  if (!has_work) return absl::OkStatus();

  ProgressDisplay::Options look = ProgressDisplay::OptionsOf(1);
  look.verbose = options.verbose;
  ProgressDisplay display(&std::cout, std::move(look));
  display.Forget(earlier);
  for (const std::string& note : model.notes) display.Print(note);
  if (options.resume && !run_dir->resumed()) {
    display.Print("there is no run to resume in this folder: a new one begins");
  }
  display.Print(
      absl::StrCat(run_dir->resumed() ? "resuming in " : "run directory ", ShownPath(*run_dir)));

  Supervisor supervisor{Supervisor::Options()};
  const absl::Time began = absl::Now();
  LocalPlace place = {
      .run_dir = run_dir->path(), .logs = "", .targets = "", .gpus = gpus, .turns = turns};
  // A process that was killed has left its file.
  const std::string targets = run_dir->path() + "/targets";
  const absl::Cleanup forget_targets = [&targets] {
    std::error_code ignored;
    std::filesystem::remove_all(targets, ignored);
  };
  if (options.metrics) {
    RETURN_IF_ERROR(MakeFolders(targets));
    place.targets = targets;
  }
  absl::Status status = RunRoles(config, *run_dir, std::move(place), &supervisor, &display, stop);
  if (absl::IsCancelled(status)) {
    return absl::CancelledError(absl::StrCat("stopped; to resume, run: ", options.resume_command));
  }
  if (!status.ok()) {
    const bool one_line = !absl::StrContains(status.message(), '\n');
    return absl::Status(status.code(),
                        absl::StrCat(status.message(), one_line ? "; " : "\n",
                                     "fix that, then run: ", options.resume_command));
  }
  display.Print(
      absl::StrCat("finished in ", FormatSeconds(absl::ToDoubleSeconds(absl::Now() - began)),
                   ": models in weights/, evaluations in eval/ of ", ShownPath(*run_dir)));
  display.Print(absl::StrCat(
      "peak memory: ",
      absl::StrJoin(supervisor.peak_memory(), ", ", [](std::string* out, const auto& role) {
        absl::StrAppend(out, role.first, " ", role.second >> 20, " MiB");
      })));
  return absl::OkStatus();
}

}  // namespace reckon
