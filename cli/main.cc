// reckon: the command-line program, as a table of its commands.

#include <grpc/support/log.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/bench/coordinator_bench.h"
#include "cli/commands/certs.h"
#include "cli/commands/command.h"
#include "cli/commands/doctor.h"
#include "cli/commands/eval.h"
#include "cli/commands/launch.h"
#include "cli/commands/replay.h"
#include "cli/commands/report.h"
#include "cli/commands/rollouts.h"
#include "cli/commands/score.h"
#include "cli/commands/score_rewards.h"
#include "cli/commands/serve.h"
#include "cli/commands/sft.h"
#include "cli/commands/show.h"
#include "cli/commands/sweep.h"
#include "cli/commands/watch.h"
#include "common/base/stop.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

constexpr int kUsageError = 2;
constexpr int kStopped = 130;

// In the order of `reckon --help`.
constexpr std::pair<const char*, CommandRun (*)(CLI::App*)> kCommands[] = {
    {"train", AddTrain},   {"launch", AddLaunch}, {"sft", AddSft},
    {"eval", AddEval},     {"score", AddScore},   {"score-rewards", AddScoreRewards},
    {"show", AddShow},     {"report", AddReport}, {"rollouts", AddRollouts},
    {"replay", AddReplay}, {"watch", AddWatch},   {"serve", AddServe},
    {"certs", AddCerts},   {"sweep", AddSweep},   {"bench", AddBench},
    {"doctor", AddDoctor},
};

bool IsCommand(absl::string_view word) {
  for (const auto& [name, add] : kCommands) {
    if (word == name) return true;
  }
  return false;
}

// "train, launch and eval"
std::string CommandNames() {
  std::string names;
  for (size_t i = 0; i < std::size(kCommands); ++i) {
    absl::StrAppend(&names,
                    i == 0                         ? ""
                    : i + 1 < std::size(kCommands) ? ", "
                                                   : " and ",
                    kCommands[i].first);
  }
  return names;
}

int Main(int argc, char** argv, std::stop_token stop) {
  CLI::App app("Reckon trains language models to reason with reinforcement learning.");
  app.name("reckon");
  app.set_version_flag("--version", "reckon " RECKON_VERSION);
  app.require_subcommand(1);
  app.footer("`reckon COMMAND --help` shows the options of a command and examples.");
  std::vector<CommandRun> runs;
  for (const auto& [name, add] : kCommands) runs.push_back(add(&app));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {  // --help and --version are such errors as well
    if (error.get_exit_code() == 0) return app.exit(error);
    if (argc > 1 && argv[1][0] != '-' && !IsCommand(argv[1])) {
      std::cerr << "reckon: no command '" << argv[1] << "'; the commands are " << CommandNames()
                << "\n";
      return kUsageError;
    }
    std::cerr << "reckon: " << error.what() << "; see reckon --help or reckon COMMAND --help\n";
    return kUsageError;
  }
  absl::Status status;
  for (size_t i = 0; i < runs.size(); ++i) {
    if (app.got_subcommand(kCommands[i].first)) status = runs[i](stop);
  }
  if (status.ok()) return 0;
  std::cerr << "reckon: " << status.message() << std::endl;
  return absl::IsCancelled(status) && stop.stop_requested() ? kStopped : 1;
}

}  // namespace
}  // namespace reckon

int main(int argc, char** argv) {
  // What gRPC itself logs, as of a connection that was closed, would stand between progress lines.
  gpr_set_log_function([](gpr_log_func_args*) {});
  std::stop_source stop;
  reckon::StopOnSignals(stop);
  reckon::InitLogging(argv[0]);
  FLAGS_minloglevel = google::GLOG_ERROR;  // errors are printed by Main
  return reckon::Main(argc, argv, stop.get_token());
}
