#include "cli/commands/launch.h"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <iostream>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/commands/dry_run.h"
#include "cli/commands/launch_kubernetes.h"
#include "cli/commands/model_facts.h"
#include "cli/commands/resource_plan.h"
#include "cli/commands/train.h"
#include "cli/launcher/local_roles.h"
#include "cli/launcher/rendered_file.h"
#include "cli/launcher/run_dir.h"
#include "cli/launcher/shell.h"
#include "cli/launcher/slurm_job.h"
#include "cli/launcher/slurm_scripts.h"
#include "common/base/status_macros.h"
#include "common/config/config.h"
#include "common/net/run_certificates.h"

namespace reckon {
namespace {

using Target = LaunchOptions::Target;

std::string ResumeCommand(const LaunchOptions& options) {
  std::string command =
      absl::StrCat(ShellQuoted(program_invocation_name),  // as typed: it may not be in the PATH
                   options.target == Target::kSlurm ? " launch --slurm " : " train ",
                   ShellQuoted(options.config));
  for (const std::string& set : options.set) absl::StrAppend(&command, " --set ", ShellQuoted(set));
  return command + (options.metrics ? " --metrics --resume" : " --resume");
}

// The size of the model, if its folder can be read here.
absl::StatusOr<std::optional<ModelSize>> SizeIfThere(const RunConfig& config) {
  absl::StatusOr<ModelFacts> facts = InspectModel(config);
  if (absl::IsNotFound(facts.status())) facts = InspectShape(config);
  if (absl::IsNotFound(facts.status())) return std::optional<ModelSize>();
  RETURN_IF_ERROR(facts.status());
  return std::optional<ModelSize>(*std::move(facts));
}

void PrintFiles(const std::vector<RenderedFile>& files) {
  for (const RenderedFile& file : files) {
    std::cout << "\n--- " << file.name << "\n" << file.text;
  }
}

absl::Status LaunchOnSlurm(const LaunchOptions& options, RunConfig config) {
  // Before the memory is filled in, so that the error of a missing model names the model.
  if (!options.dry_run) RETURN_IF_ERROR(CheckInputs(config).status());
  ASSIGN_OR_RETURN(const std::optional<ModelSize> model, SizeIfThere(config));
  RETURN_IF_ERROR(
      PlanClusterResources(model.has_value() ? &*model : nullptr, Site::kSlurm, &config));
  const std::string run_dir = absl::StrCat(config.output_dir(), "/", config.name());
  const SlurmPlace place = {
      .run_dir = run_dir, .programs = ProgramsFolder(), .certificates = run_dir + "/certificates"};
  ASSIGN_OR_RETURN(const std::vector<RenderedFile> scripts, RenderSlurm(config, place));
  if (options.dry_run) {
    RETURN_IF_ERROR(DryRun(config, Site::kSlurm));
    PrintFiles(scripts);
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(CheckNoSlurmJob(run_dir));
  ASSIGN_OR_RETURN(const std::unique_ptr<RunDir> run, RunDir::Open(config, options.resume));
  ASSIGN_OR_RETURN(const bool has_work, HasWork(*run));
  if (!has_work) return absl::OkStatus();
  RETURN_IF_ERROR(EnsureRunCertificates(run_dir, config.name()).status());
  absl::StatusOr<std::vector<std::string>> lines = SubmitToSlurm(config, run_dir, scripts);
  if (!lines.ok()) {
    return absl::Status(
        lines.status().code(),
        absl::StrCat(lines.status().message(), "; fix that, then run: ", ResumeCommand(options)));
  }
  for (const std::string& line : *lines) std::cout << line << "\n";
  return absl::OkStatus();
}

}  // namespace

absl::Status Launch(const LaunchOptions& options, std::stop_token stop) {
  ASSIGN_OR_RETURN(RunConfig config, LoadConfig(options.config, options.set));
  MakePathsAbsolute(&config);
  switch (options.target) {
    case Target::kLocal:
      if (options.dry_run) return DryRun(config, Site::kThisMachine);
      return TrainConfig(std::move(config),
                         {.resume = options.resume,
                          .metrics = options.metrics,
                          .verbose = options.verbose,
                          .resume_command = ResumeCommand(options)},
                         stop);
    case Target::kSlurm:
      return LaunchOnSlurm(options, std::move(config));
    case Target::kKubernetes: {
      ASSIGN_OR_RETURN(const std::optional<ModelSize> model, SizeIfThere(config));
      RETURN_IF_ERROR(
          PlanClusterResources(model.has_value() ? &*model : nullptr, Site::kKubernetes, &config));
      return LaunchOnKubernetes(options, config);
    }
  }
  return absl::InternalError("no such target");
}

namespace {

void AddConfigOptions(CLI::App* command, LaunchOptions* options, const std::string& dry_run) {
  command->add_option("config", options->config, "config file (textproto, YAML or JSON)")
      ->required();
  command->add_option("--set", options->set, "override a config key: KEY=VALUE, may be repeated")
      ->allow_extra_args(false);
  command->add_flag("--dry-run", options->dry_run, dry_run);
  command->add_flag("--resume", options->resume, "continue the run of this config");
}

CLI::Option* AddMetrics(CLI::App* command, LaunchOptions* options) {
  return command->add_flag("--metrics", options->metrics,
                           "serve each process's metrics to Prometheus, which RUN/targets tells "
                           "(docs/metrics.md); a cluster's always do");
}

CLI::Option* AddVerbose(CLI::App* command, LaunchOptions* options) {
  return command->add_flag("--verbose", options->verbose,
                           "a line for each step; always where the output is no terminal");
}

}  // namespace

CommandRun AddTrain(CLI::App* app) {
  const auto options = std::make_shared<LaunchOptions>();
  CLI::App* command = app->add_subcommand(
      "train", "Train a model as a config describes, on this machine (launch --local)");
  AddConfigOptions(command, options.get(),
                   "print config, stages, memory and disk space, and start nothing");
  AddMetrics(command, options.get());
  AddVerbose(command, options.get());
  command->footer(
      "Examples:\n"
      "  reckon train recipes/quickstart.textproto --set model.path=models/smollm2-135m\n"
      "  reckon train recipes/quickstart.textproto --set stage[1].ei.rounds=3 --dry-run\n"
      "  reckon train recipes/quickstart.textproto --set model.path=models/smollm2-135m --resume");
  return [options](std::stop_token stop) { return Launch(*options, stop); };
}

CommandRun AddLaunch(CLI::App* app) {
  const auto options = std::make_shared<LaunchOptions>();
  CLI::App* command =
      app->add_subcommand("launch", "Run a config on this machine, on Slurm or on Kubernetes");
  AddConfigOptions(command, options.get(),
                   "print config, stages, memory and the files for the scheduler; start nothing");
  CLI::Option* local = command->add_flag_callback(
      "--local", [options = options.get()] { options->target = LaunchOptions::Target::kLocal; },
      "on this machine, until the run has ended; the default");
  CLI::Option* slurm = command->add_flag_callback(
      "--slurm", [options = options.get()] { options->target = LaunchOptions::Target::kSlurm; },
      "submit it to Slurm");
  CLI::Option* kubernetes = command->add_flag_callback(
      "--kubernetes",
      [options = options.get()] { options->target = LaunchOptions::Target::kKubernetes; },
      "write its manifests for Kubernetes");
  command->add_flag("--apply", options->apply, "give the manifests to kubectl")->needs(kubernetes);
  local->excludes(slurm)->excludes(kubernetes);
  slurm->excludes(kubernetes);
  AddMetrics(command, options.get())->excludes(slurm)->excludes(kubernetes);
  AddVerbose(command, options.get())->excludes(slurm)->excludes(kubernetes);
  command->footer(
      "The config's `resources` say how many processes there are and what each gets.\n"
      "Examples:\n"
      "  reckon launch recipes/quickstart.textproto --set model.path=models/smollm2-135m\n"
      "  reckon launch run.textproto --slurm --set slurm.time_limit_minutes=240 --dry-run\n"
      "  reckon launch run.textproto --slurm --set resources.actors=16\n"
      "  reckon launch run.textproto --kubernetes --apply");
  return [options](std::stop_token stop) { return Launch(*options, stop); };
}

}  // namespace reckon
