#include "cli/commands/rollouts.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "cli/report/rollout_json.h"
#include "cli/report/run_reader.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

constexpr size_t kShown = 44;  // bytes of a completion

std::string ListLine(const Rollout& rollout) {
  const RolloutKey& key = rollout.key();
  size_t tokens = 0;
  for (const TokenSpan& span : rollout.spans()) {
    if (span.kind() != TokenSpan::PROMPT) tokens += span.tokens_size();
  }
  const std::string end = rollout.completion().size() > kShown
                              ? rollout.completion().substr(rollout.completion().size() - kShown)
                              : rollout.completion();
  return absl::StrFormat("%-28s %8.4g %-11s %6d  %s",
                         absl::StrCat(key.plan(), "/", key.group(), "/", key.sample()),
                         rollout.reward(), VerdictOf(rollout), tokens,
                         Printable(absl::StrReplaceAll(end, {{"\n", "\\n"}})));
}

}  // namespace

absl::Status Rollouts(const RolloutsOptions& options, std::ostream* out, std::stop_token stop) {
  ASSIGN_OR_RETURN(const std::unique_ptr<RunReader> reader, RunReader::Open(options.run, stop));
  std::vector<PlanStatus> plans;
  for (const PlanStatus& plan : reader->status().plans()) {
    if (options.plan.empty() || plan.name() == options.plan) plans.push_back(plan);
  }
  if (plans.empty() && !options.plan.empty()) {
    std::vector<absl::string_view> names;
    for (const PlanStatus& plan : reader->status().plans()) names.push_back(plan.name());
    return absl::NotFoundError(
        absl::StrCat("--plan ", options.plan, ": the run has no such plan; it has ",
                     names.empty() ? "none yet" : absl::StrJoin(names, ", ")));
  }
  if (plans.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer, reader->MakeTokenizer());
  uint64_t shown = 0;
  const auto more = [&] { return (options.limit == 0 || shown < options.limit) && out->good(); };
  for (const PlanStatus& plan : plans) {
    if (!more()) break;
    RETURN_IF_ERROR(reader->ForEachBatch(plan, [&](const std::vector<Rollout>& rollouts) {
      for (const Rollout& rollout : rollouts) {
        if (!more()) return false;
        *out << (options.jsonl ? RolloutLine(rollout, *tokenizer) : ListLine(rollout)) << "\n";
        ++shown;
      }
      return more();
    }));
  }
  out->flush();
  return absl::OkStatus();
}

CommandRun AddRollouts(CLI::App* app) {
  const auto options = std::make_shared<RolloutsOptions>();
  CLI::App* command =
      app->add_subcommand("rollouts", "List the rollouts of a run, or print them as JSON lines");
  command->add_option("run", options->run, "run directory")->required();
  command->add_flag("--jsonl", options->jsonl,
                    "one JSON object a line, with tokens and log-probabilities (docs/looking.md)");
  command->add_option("--plan", options->plan, "of this plan only");
  command->add_option("--limit", options->limit, "rollouts to print; 0: all")
      ->capture_default_str();
  command->footer(
      "Examples:\n"
      "  reckon rollouts runs/quickstart --plan eval/0_start/greedy\n"
      "  reckon rollouts runs/quickstart --jsonl > rollouts.jsonl");
  return [options](std::stop_token stop) { return Rollouts(*options, &std::cout, stop); };
}

}  // namespace reckon
