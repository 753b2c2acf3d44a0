#include "cli/sweep/run_command.h"

#include "absl/strings/str_cat.h"
#include "cli/launcher/shell.h"

namespace reckon {
namespace {

// What starts one run on this machine.
constexpr const char* kRunVerb = "train";

}  // namespace

std::vector<std::string> RunArguments(const SweepRun& run, SweepEngine engine, bool resume) {
  (void)engine;
  std::vector<std::string> arguments = {kRunVerb, run.config_path};
  for (const std::string& assignment : run.set) {
    arguments.push_back("--set");
    arguments.push_back(assignment);
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
