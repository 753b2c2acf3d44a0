#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "cli/commands.h"
#include "cli/local_roles.h"
#include "cli/model_facts.h"
#include "cli/progress_display.h"
#include "cli/run_dir.h"
#include "cli/supervisor.h"
#include "common/base/status_macros.h"
#include "common/config/config.h"
#include "common/telemetry/metrics.h"

namespace reckon {
namespace {

constexpr absl::Duration kRedraw = absl::Milliseconds(250);

// An argument as a shell would take it.
std::string Quoted(const std::string& arg) {
  if (arg.find_first_of(" \t'\"\\$`*?[]{}()<>|&;!#~") == std::string::npos) return arg;
  std::string out = "'";
  for (char c : arg) {
    if (c == '\'') {
      out.append("'\\''");
    } else {
      out.push_back(c);
    }
  }
  out.push_back('\'');
  return out;
}

std::string ResumeCommand(const TrainOptions& options) {
  std::string command = absl::StrCat("reckon train ", Quoted(options.config));
  for (const std::string& set : options.set) absl::StrAppend(&command, " --set ", Quoted(set));
  return command + " --resume";
}

}  // namespace

absl::Status TrainConfig(RunConfig config, bool resume, const std::string& how_to_resume,
                         const StopToken* stop) {
  MakePathsAbsolute(&config);
  RETURN_IF_ERROR(InspectModel(config).status());
  RETURN_IF_ERROR(InspectData(config).status());
  ASSIGN_OR_RETURN(std::unique_ptr<RunDir> run_dir, RunDir::Open(config, resume));

  ProgressDisplay display(&std::cout, ::isatty(1) == 1);
  absl::StatusOr<Progress> earlier = ReadProgress(run_dir->path());
  if (earlier.ok()) display.Forget(*earlier);
  if (earlier.ok() && earlier->finished) {
    display.Print(absl::StrCat("the run in ", run_dir->path(), " is finished; its results:"));
    for (const std::string& line : earlier->lines) display.Print(line);
    return absl::OkStatus();
  }
  display.Print(
      absl::StrCat(run_dir->resumed() ? "resuming in " : "run directory ", run_dir->path()));

  LocalRoles roles(config, run_dir->path());
  Supervisor supervisor{Supervisor::Options()};
  supervisor.on_event = [&](const std::string& event) { display.Print(event); };
  ASSIGN_OR_RETURN(std::string coordinator, roles.StartCoordinator(&supervisor, stop));
  RETURN_IF_ERROR(roles.StartActors(&supervisor, coordinator));

  auto read = [&] {
    absl::StatusOr<Progress> progress = ReadProgress(run_dir->path());
    return progress.ok() ? *std::move(progress) : Progress();
  };
  Supervisor::Group learner;
  learner.make = [&](int attempt) {
    return roles.Learner(coordinator, MakeNonce(), attempt > 0 || run_dir->resumed());
  };
  learner.progress = [&] { return static_cast<int64_t>(read().lines.size()); };
  learner.finished = [&] { return read().finished; };
  supervisor.SetGroup(std::move(learner));

  absl::Time began = absl::Now(), redraw = absl::InfinitePast();
  auto show = [&] {
    absl::Time now = absl::Now();
    if (now < redraw) return;
    redraw = now + kRedraw;
    if (Progress progress = read(); !progress.phase.empty()) display.Show(progress, now);
  };
  absl::Status status = supervisor.Run(stop, show);
  redraw = absl::InfinitePast();
  show();
  display.Finish();
  if (absl::IsCancelled(status)) {
    return absl::CancelledError(absl::StrCat("stopped; go on with: ", how_to_resume));
  }
  if (!status.ok()) {
    return absl::Status(
        status.code(),
        absl::StrCat(status.message(), "\nonce that is mended, go on ", "with: ", how_to_resume));
  }
  display.Print(absl::StrCat(
      "finished in ", FormatSeconds(absl::ToDoubleSeconds(absl::Now() - began)), "; models in ",
      run_dir->path(), "/weights, evaluations in ", run_dir->path(), "/eval"));
  display.Print(absl::StrCat(
      "peak memory: ",
      absl::StrJoin(supervisor.peak_memory(), ", ", [](std::string* out, const auto& role) {
        absl::StrAppend(out, role.first, " ", role.second >> 20, " MiB");
      })));
  return absl::OkStatus();
}

absl::Status Train(const TrainOptions& options, const StopToken* stop) {
  ASSIGN_OR_RETURN(RunConfig config, LoadConfig(options.config, options.set));
  if (options.dry_run) {
    MakePathsAbsolute(&config);
    return DryRun(config);
  }
  return TrainConfig(std::move(config), options.resume, ResumeCommand(options), stop);
}

absl::Status Sft(const SftOptions& options, const StopToken* stop) {
  std::filesystem::path output(AbsolutePath(options.output));
  RunConfig config;
  config.set_name(output.filename().string());
  config.set_output_dir(output.parent_path().string());
  config.mutable_model()->set_path(options.model);
  config.mutable_data()->set_train(options.data);
  if (!options.eval_data.empty()) {
    config.mutable_data()->set_eval(options.eval_data);
  } else if (options.data == "builtin") {
    config.mutable_data()->set_eval("builtin");
  } else {
    return absl::InvalidArgumentError(
        "--eval-data: is required with a file as --data: the model is evaluated before and after");
  }
  DataSettings::Format format;
  if (!DataSettings::Format_Parse(absl::AsciiStrToUpper(options.format), &format)) {
    return absl::InvalidArgumentError("--format: must be plain or chat");
  }
  config.mutable_data()->set_format(format);
  config.mutable_learner()->set_ranks(options.ranks);
  TrainingSettings* training = config.mutable_training();
  training->set_epochs(options.epochs);
  training->set_batch_size(options.batch_size);
  training->set_learning_rate(options.learning_rate);
  training->set_min_learning_rate(options.learning_rate / 100);
  Stage* stage = config.add_stage();
  stage->set_name("sft");
  stage->mutable_sft()->set_limit(options.limit);
  RETURN_IF_ERROR(ValidateConfig(config));
  return TrainConfig(
      std::move(config), options.resume,
      absl::StrCat("reckon sft --model ", Quoted(options.model), " --data ", Quoted(options.data),
                   " --output ", Quoted(options.output), " ... --resume (with the same options)"),
      stop);
}

}  // namespace reckon
