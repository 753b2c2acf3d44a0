#include "cli/commands/sweep.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <memory>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/commands/flags.h"
#include "cli/launcher/progress_display.h"
#include "cli/launcher/run_dir.h"
#include "cli/launcher/shell.h"
#include "cli/sweep/html_report.h"
#include "cli/sweep/sweep_memory.h"
#include "cli/sweep/sweep_plan.h"
#include "cli/sweep/sweep_results.h"
#include "cli/sweep/sweep_runner.h"
#include "common/base/files.h"
#include "common/base/machine_limits.h"
#include "common/base/status_macros.h"
#include "common/telemetry/figures.h"

namespace reckon {
namespace {

std::string SweepCommandLine(const SweepOptions& options) {
  std::string line = absl::StrCat("reckon sweep ", ShellQuoted(options.sweep));
  for (const std::string& set : options.overrides.set) {
    absl::StrAppend(&line, " --set ", ShellQuoted(set));
  }
  for (const std::string& set : options.overrides.start_set) {
    absl::StrAppend(&line, " --start-set ", ShellQuoted(set));
  }
  if (options.engine == SweepEngine::kSlurm) line += " --slurm";
  if (options.engine == SweepEngine::kKubernetes) line += " --kubernetes";
  if (options.parallel > 0) absl::StrAppend(&line, " --parallel ", options.parallel);
  return line;
}

const char* DescribeState(RunState state) {
  switch (state) {
    case RunState::kNew:
      return "to do";
    case RunState::kInterrupted:
      return "to resume";
    case RunState::kFinished:
      return "finished";
  }
  return "";
}

// The most memory that runs take together which are not finished.
struct PeakMemory {
  size_t runs = 0;  // at a time
  double bytes = 0;
};

PeakMemory PeakOf(const std::vector<RunMemory>& memory, const std::vector<RunState>& states,
                  size_t parallel) {
  std::vector<RunMemory> unfinished;
  for (size_t i = 0; i < memory.size(); ++i) {
    if (states[i] != RunState::kFinished) unfinished.push_back(memory[i]);
  }
  const size_t runs = std::min(parallel, unfinished.size());
  return {runs, MostAtOnce(unfinished, runs)};
}

void PrintSweepPlan(const SweepPlan& plan, const std::vector<RunState>& states, size_t parallel,
                    SweepEngine engine, const SweepFile& file) {
  const std::vector<RunMemory> memory = PlanRunMemory(plan);
  for (size_t i = 0; i < plan.runs.size(); ++i) {
    const SweepRun& run = plan.runs[i];
    std::cout << run.name << ": arm " << run.arm << ", seed " << run.seed << ", "
              << DescribeState(states[i]);
    if (run.start >= 0) std::cout << ", begins from " << plan.runs[run.start].name;
    std::cout << "\n  " << RunCommandLine(run, engine)
              << "\n  memory, about: " << memory[i].Text(run.config) << "\n";
  }
  const auto finished = std::count(states.begin(), states.end(), RunState::kFinished);
  std::cout << plan.runs.size() << " runs: " << plan.arms.size() << " arms with "
            << file.sweep.seed_size() << " seeds";
  if (const auto starts = std::count_if(plan.runs.begin(), plan.runs.end(),
                                        [](const SweepRun& run) { return run.is_start; })) {
    std::cout << ", and " << starts << " starts";
  }
  std::cout << "; " << finished << " finished\n";
  const PeakMemory most = PeakOf(memory, states, parallel);
  if (engine == SweepEngine::kLocal && most.bytes > 0) {
    std::cout << "memory of " << most.runs << (most.runs == 1 ? " run" : " runs")
              << " at a time, about: " << FormatBytes(most.bytes) << " of "
              << FormatBytes(static_cast<double>(ReadMachineLimits().available_memory_bytes))
              << " available\n";
  }
  std::cout << "dry run: nothing was started\n";
}

absl::Status CheckSweepMemory(const SweepPlan& plan, const std::vector<RunState>& states,
                              size_t parallel) {
  const PeakMemory most = PeakOf(PlanRunMemory(plan), states, parallel);
  const auto available = static_cast<double>(ReadMachineLimits().available_memory_bytes);
  if (most.runs <= 1 || available <= 0 || most.bytes <= available) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("parallel: ", most.runs, " runs take about ", FormatBytes(most.bytes),
                   " of memory together, and ", FormatBytes(available),
                   " are available; lower it (--parallel)"));
}

// Held while the sweep runs.
absl::StatusOr<int> LockSweep(const std::string& folder) {
  RETURN_IF_ERROR(MakeFolders(folder));
  const std::string path = folder + "/lock";
  const int lock = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock < 0) return absl::ErrnoToStatus(errno, "cannot open " + path);
  if (::flock(lock, LOCK_EX | LOCK_NB) == 0) return lock;
  const int error = errno;
  ::close(lock);
  if (error != EWOULDBLOCK) return LockError(error, folder);
  return absl::FailedPreconditionError(
      absl::StrCat(folder, " is in use by another `reckon sweep`; stop that one first"));
}

absl::Status WriteReports(const SweepFile& file, const SweepPlan& plan,
                          const std::vector<RunOutcome>& outcomes, const SweepOptions& options) {
  RETURN_IF_ERROR(WriteFileAtomically(file.folder() + "/results.csv", ResultsCsv(plan, outcomes)));
  return WriteFileAtomically(
      file.folder() + "/report.html",
      HtmlReport(file, plan, outcomes, SweepCommandLine(options), options.engine));
}

// The last evaluation of each arm, in %.
void PrintArms(const SweepPlan& plan, const std::vector<RunOutcome>& outcomes) {
  const std::vector<ArmResults> arms = SummarizeArms(plan, outcomes);
  size_t width = 3;
  for (const ArmResults& arm : arms) width = std::max(width, arm.label.size());
  std::cout << absl::StrFormat("%-*s  %8s %10s", width, "arm", "finished", "samples");
  for (const char* metric : kReportMetrics) std::cout << absl::StrFormat(" %18s", metric);
  std::cout << "\n";
  for (const ArmResults& arm : arms) {
    std::cout << absl::StrFormat("%-*s  %8s %10s", width, arm.label,
                                 absl::StrCat(arm.finished, "/", arm.runs),
                                 arm.last() ? FormatCount(arm.last()->samples.mean) : "-");
    for (const char* metric : kReportMetrics) {
      std::string cell = "-";
      if (arm.last() != nullptr && arm.last()->metrics.contains(metric)) {
        const SeedEstimate& value = arm.last()->metrics.at(metric);
        cell = absl::StrFormat("%.1f", 100 * value.mean);
        if (value.is_range()) {
          absl::StrAppendFormat(&cell, " (%.1f-%.1f)", 100 * value.low(), 100 * value.high());
        } else if (value.seeds > 1) {
          absl::StrAppendFormat(&cell, " +- %.1f", 100 * value.half);
        }
      }
      std::cout << absl::StrFormat(" %18s", cell);
    }
    std::cout << "\n";
  }
}

// Writes and prints what there is.
absl::Status WriteAndPrint(const SweepFile& file, const SweepPlan& plan,
                           const SweepOptions& options,
                           const std::map<std::string, std::string>& failures) {
  ASSIGN_OR_RETURN(const std::vector<RunOutcome> outcomes, ReadOutcomes(plan, failures));
  RETURN_IF_ERROR(MakeFolders(file.folder()));
  RETURN_IF_ERROR(WriteReports(file, plan, outcomes, options));
  PrintArms(plan, outcomes);
  std::cout << "report: " << file.folder() << "/report.html, results.csv\n";
  return absl::OkStatus();
}

absl::Status Execute(const SweepFile& file, const SweepPlan& plan, const SweepOptions& options,
                     size_t parallel, std::stop_token stop) {
  ASSIGN_OR_RETURN(const int lock, LockSweep(file.folder()));
  absl::Cleanup unlock = [lock] { ::close(lock); };
  SweepDisplay display(&std::cout, ::isatty(1) == 1, TerminalColumns(1));
  SweepRunner runner(
      plan,
      {.task = {.engine = options.engine, .logs = file.folder() + "/logs"}, .parallel = parallel},
      &display);
  runner.on_end = [&] {
    const absl::StatusOr<std::vector<RunOutcome>> outcomes = ReadOutcomes(plan, runner.failures());
    absl::Status written =
        outcomes.ok() ? WriteReports(file, plan, *outcomes, options) : outcomes.status();
    if (!written.ok()) display.Print(absl::StrCat("no report: ", written.message()));
  };
  const absl::Status status = runner.Run(stop);
  if (absl::IsCancelled(status)) {
    return absl::CancelledError(
        absl::StrCat(options.engine == SweepEngine::kLocal
                         ? "stopped; to resume, run: "
                         : "stopped; jobs that are submitted stay, and are followed again by: ",
                     SweepCommandLine(options)));
  }
  RETURN_IF_ERROR(status);
  RETURN_IF_ERROR(WriteAndPrint(file, plan, options, runner.failures()));
  if (runner.failures().empty()) return absl::OkStatus();
  std::string message =
      absl::StrCat(runner.failures().size(), " of ", plan.runs.size(),
                   " runs failed; fix that, then run: ", SweepCommandLine(options));
  for (const auto& [name, words] : runner.failures()) {
    absl::StrAppend(&message, "\n  ", name, ": ", words);
  }
  return absl::InternalError(message);
}

}  // namespace

absl::Status RunSweep(const SweepOptions& options, std::stop_token stop) {
  ASSIGN_OR_RETURN(const SweepFile file, LoadSweep(options.sweep, options.overrides));
  ASSIGN_OR_RETURN(const SweepPlan plan, PlanSweep(file));
  const size_t parallel = options.parallel > 0 ? options.parallel : file.sweep.parallel();
  if (options.report_only) return WriteAndPrint(file, plan, options, {});
  ASSIGN_OR_RETURN(const std::vector<RunState> states, InspectRuns(plan));
  if (options.dry_run) {
    PrintSweepPlan(plan, states, parallel, options.engine, file);
    return absl::OkStatus();
  }
  if (options.engine == SweepEngine::kLocal) {
    RETURN_IF_ERROR(CheckSweepMemory(plan, states, parallel));
  }
  return Execute(file, plan, options, parallel, stop);
}

CommandRun AddSweep(CLI::App* app) {
  const auto options = std::make_shared<SweepOptions>();
  CLI::App* command = app->add_subcommand(
      "sweep", "Run many configs, several at a time, and write one report of them");
  command
      ->add_option("sweep", options->sweep, "sweep file (textproto, YAML or JSON; docs/sweeps.md)")
      ->required();
  command
      ->add_option("--set", options->overrides.set,
                   "override a config key of all runs but starts: KEY=VALUE, may be repeated")
      ->allow_extra_args(false);
  command
      ->add_option("--start-set", options->overrides.start_set,
                   "override a config key of the runs that others begin from")
      ->allow_extra_args(false);
  CLI::Option* dry_run =
      command->add_flag("--dry-run", options->dry_run,
                        "print every run with its command and memory, and start nothing");
  command
      ->add_flag("--report-only", options->report_only,
                 "write the report of what there is, and start nothing")
      ->excludes(dry_run);
  command->add_option("--parallel", options->parallel, "runs at a time; default: as the file says")
      ->check(Allowed<Sweep>("parallel"));
  CLI::Option* local = command->add_flag_callback(
      "--local", [options = options.get()] { options->engine = SweepEngine::kLocal; },
      "on this machine; the default");
  CLI::Option* slurm = command->add_flag_callback(
      "--slurm", [options = options.get()] { options->engine = SweepEngine::kSlurm; },
      "submit the runs to Slurm");
  CLI::Option* kubernetes = command->add_flag_callback(
      "--kubernetes", [options = options.get()] { options->engine = SweepEngine::kKubernetes; },
      "hand the runs to kubectl");
  local->excludes(slurm)->excludes(kubernetes);
  slurm->excludes(kubernetes);
  command->footer(
      "Runs are in OUTPUT_DIR/NAME/runs. Finished ones are taken as they are, interrupted ones "
      "are\n"
      "resumed: type the same command again. Writes report.html and results.csv beside them.\n"
      "Examples:\n"
      "  reckon sweep recipes/sweeps/tiny_compare.textproto --dry-run\n"
      "  reckon sweep recipes/sweeps/tiny_compare.textproto\n"
      "  reckon sweep recipes/sweeps/tiny_scaling.textproto --slurm --parallel 4\n"
      "  reckon sweep recipes/sweeps/tiny_compare.textproto --report-only");
  return [options](std::stop_token stop) { return RunSweep(*options, stop); };
}

}  // namespace reckon
