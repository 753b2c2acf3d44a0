#include "cli/commands/watch.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cli/launcher/progress_display.h"
#include "cli/launcher/run_dir.h"
#include "cli/report/run_page.h"
#include "cli/report/watch_server.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

constexpr absl::Duration kLook = absl::Seconds(1);
// Between two readings of the rollouts at least, and at least as many times as a reading takes.
constexpr absl::Duration kReadEvery = absl::Seconds(5);
constexpr int kReadShare = 10;

// Differs when one of the files has changed.
std::string StampOf(const std::string& folder, std::initializer_list<const char*> files) {
  std::string stamp;
  for (const char* file : files) {
    std::error_code error;
    const std::string path = folder + file;
    absl::StrAppend(&stamp, std::filesystem::file_size(path, error), " ",
                    std::filesystem::last_write_time(path, error).time_since_epoch().count(), " ");
  }
  return stamp;
}

std::string LineOf(const ReportedRun& run) {
  if (!run.progress) return "not started";
  return run.progress->finished() ? "finished" : FormatProgress(*run.progress, 0);
}

}  // namespace

absl::Status Watch(const WatchOptions& options, std::stop_token stop) {
  const std::string folder = AbsolutePath(options.run);
  if (!std::filesystem::exists(folder + "/config.textproto")) {
    return absl::NotFoundError(
        absl::StrCat(options.run, ": not a run directory, because it has no config.textproto; ",
                     "give one that `reckon train` made, as runs/NAME"));
  }
  ASSIGN_OR_RETURN(const ReportedRun first, ReadReportedRun(folder));
  ASSIGN_OR_RETURN(const std::unique_ptr<WatchServer> server,
                   WatchServer::Start(options.port, LivePage(first.config.name())));
  std::cout << "http://127.0.0.1:" << server->port() << "/ shows " << options.run
            << "; Ctrl-C ends this" << std::endl;
  std::string seen, seen_rollouts, trouble;
  absl::Time next_read = absl::InfinitePast();
  do {
    if (std::string stamp = StampOf(folder, {"/metrics.jsonl", "/progress.json", "/eval"});
        stamp != seen) {
      // A file that is being replaced is read again at the next look.
      if (const absl::StatusOr<ReportedRun> run = ReadReportedRun(folder); run.ok()) {
        seen = std::move(stamp);
        server->SetSummary(RunSummary({*run}));
        server->SetLine(LineOf(*run) + trouble);
      }
    }
    if (seen != seen_rollouts && absl::Now() >= next_read) {
      const absl::Time begin = absl::Now();
      absl::StatusOr<std::string> rollouts = ReadBrowserData(folder, SampleLimits(), stop);
      trouble = rollouts.ok() ? "" : absl::StrCat("; rollouts: ", rollouts.status().message());
      if (rollouts.ok()) {
        seen_rollouts = seen;
        server->SetRollouts(absl::StrCat("[", *rollouts, "]"));
      }
      next_read = absl::Now() + std::max(kReadEvery, kReadShare * (absl::Now() - begin));
    }
  } while (!WaitForStop(stop, kLook));
  return absl::OkStatus();
}

CommandRun AddWatch(CLI::App* app) {
  const auto options = std::make_shared<WatchOptions>();
  CLI::App* command =
      app->add_subcommand("watch", "Serve the report of a run to a browser, kept up to date");
  command->add_option("run", options->run, "run directory")->required();
  command->add_option("--port", options->port, "port on 127.0.0.1; 0: any free one")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  command->footer(
      "Read-only, and for this machine alone. From elsewhere: ssh -L 8000:127.0.0.1:8000 HOST\n"
      "Example:\n"
      "  reckon watch runs/quickstart --port 8000");
  return [options](std::stop_token stop) { return Watch(*options, stop); };
}

}  // namespace reckon
