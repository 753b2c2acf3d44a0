#include "cli/sweep/run_command.h"

#include "absl/strings/str_cat.h"
#include "cli/launcher/shell.h"

namespace reckon {

std::vector<std::string> RunArguments(const SweepRun& run, SweepEngine engine, bool resume) {
  const bool local = engine == SweepEngine::kLocal;
  std::vector<std::string> arguments = {local ? "train" : "launch", run.config_path};
  for (const std::string& assignment : run.set) {
    arguments.push_back("--set");
    arguments.push_back(assignment);
  }
  if (engine == SweepEngine::kSlurm) arguments.push_back("--slurm");
  if (engine == SweepEngine::kKubernetes) {
    arguments.push_back("--kubernetes");
    arguments.push_back("--apply");
  }
  if (resume) arguments.push_back("--resume");
  return arguments;
}

std::string RunCommandLine(const SweepRun& run, SweepEngine engine) {
  std::string line = "reckon";
  for (const std::string& argument : RunArguments(run, engine, false)) {
    absl::StrAppend(&line, " ", ShellQuoted(argument));
  }
  return line;
}

}  // namespace reckon
