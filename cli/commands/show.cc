#include "cli/commands/show.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/report/run_reader.h"
#include "common/base/status_macros.h"
#include "common/telemetry/figures.h"
#include "common/telemetry/progress.h"
#include "common/text/tokenizer.h"

namespace reckon {
namespace {

void PrintPlans(const GetStatusReply& status) {
  std::cout << "run " << status.run() << ": weight version " << status.newest_version() << ", "
            << FormatCount(static_cast<double>(status.ledger().accepted()))
            << " samples accepted\n";
  std::cout << absl::StrFormat("  %-36s %8s %10s %12s\n", "plan", "groups", "samples", "tokens");
  for (const PlanStatus& plan : status.plans()) {
    std::cout << absl::StrFormat(
        "  %-36s %8d %10d %12d%s\n", plan.name(), plan.complete_groups(), plan.samples_accepted(),
        plan.sampled_tokens(),
        plan.closed() || plan.batches_applied() == plan.batches_cut() ? "" : "  running");
  }
}

std::string FinishName(FinishReason finish) {
  switch (finish) {
    case FINISH_STOP:
      return "ended by a stop token or string";
    case FINISH_LENGTH:
      return "cut at max_new_tokens";
    case FINISH_FORCED:
      return "scored";
    default:
      return "unfinished";
  }
}

void PrintRollout(const Tokenizer& tokenizer, const Rollout& rollout) {
  std::vector<uint32_t> prompt;
  size_t tokens = 0;
  uint64_t version = 0;
  for (const TokenSpan& span : rollout.spans()) {
    if (span.kind() == TokenSpan::PROMPT) {
      prompt.insert(prompt.end(), span.tokens().begin(), span.tokens().end());
    } else {
      tokens += span.tokens_size();
    }
    if (span.kind() == TokenSpan::SAMPLED) version = span.weight_version();
  }
  std::cout << "\n=== " << rollout.key().plan() << "  group " << rollout.key().group()
            << "  sample " << rollout.key().sample() << "  (" << rollout.actor()
            << ", weight version " << version << ")\n--- prompt\n"
            << tokenizer.Decode(prompt, /*skip_special=*/false) << "\n--- completion\n"
            << rollout.completion() << "\n--- reward " << rollout.reward() << "\n";
  for (const RewardValue& reward : rollout.rewards()) {
    std::cout << reward.name() << ": " << absl::AsciiStrToLower(Verdict_Name(reward.verdict()));
    if (!reward.extracted().empty())
      std::cout << ", found the answer '" << reward.extracted() << "'";
    std::cout << " (" << reward.value() << ")\n";
  }
  std::cout << tokens << " tokens, " << FinishName(rollout.finish()) << "\n";
}

bool IsCorrect(const Rollout& rollout) {
  return !rollout.rewards().empty() && rollout.rewards(0).verdict() == CORRECT;
}

// The plan asked for, or else the newest that has a batch (none: no plan has).
absl::StatusOr<PlanStatus> ChoosePlan(const ShowOptions& options, const GetStatusReply& status) {
  PlanStatus plan;
  std::string all;
  for (const PlanStatus& candidate : status.plans()) {
    absl::StrAppend(&all, all.empty() ? "" : ", ", candidate.name());
    const bool chosen =
        options.plan.empty() ? candidate.batches_cut() > 0 : candidate.name() == options.plan;
    if (chosen) plan = candidate;
  }
  if (!plan.name().empty() || options.plan.empty()) return plan;
  return absl::NotFoundError(
      absl::StrCat("--plan ", options.plan, ": the run has no such plan; it has ", all));
}

}  // namespace

absl::Status Show(const ShowOptions& options, std::stop_token stop) {
  ASSIGN_OR_RETURN(const std::unique_ptr<RunReader> reader, RunReader::Open(options.run, stop));
  if (options.plan.empty()) {
    PrintPlans(reader->status());
    const absl::StatusOr<Progress> progress = ReadProgress(reader->run_dir());
    if (progress.ok() && !progress->waiting_for().empty()) {
      std::cout << "waiting for: " << progress->waiting_for() << "\n";
    }
  }

  ASSIGN_OR_RETURN(const PlanStatus plan, ChoosePlan(options, reader->status()));
  if (plan.name().empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(std::unique_ptr<Tokenizer> tokenizer, reader->MakeTokenizer());
  uint64_t shown = 0;
  return reader->ForEachBatch(plan, [&](const std::vector<Rollout>& rollouts) {
    for (const Rollout& rollout : rollouts) {
      if (shown == options.limit) break;
      if (options.wrong && IsCorrect(rollout)) continue;
      if (options.correct && !IsCorrect(rollout)) continue;
      PrintRollout(*tokenizer, rollout);
      ++shown;
    }
    return shown < options.limit;
  });
}

CommandRun AddShow(CLI::App* app) {
  const auto options = std::make_shared<ShowOptions>();
  CLI::App* command = app->add_subcommand(
      "show", "Show rollouts of a run: prompt, completion, rewards and verdicts");
  command->add_option("run", options->run, "run directory")->required();
  command->add_option("--plan", options->plan, "plan to show; default: the newest");
  command->add_option("--limit", options->limit, "rollouts to show")->capture_default_str();
  CLI::Option* wrong =
      command->add_flag("--wrong", options->wrong, "only rollouts that are not correct");
  command->add_flag("--correct", options->correct, "only correct rollouts")->excludes(wrong);
  command->footer(
      "Examples:\n"
      "  reckon show runs/quickstart\n"
      "  reckon show runs/quickstart --plan eval/0_start/greedy --wrong --limit 20");
  return [options](std::stop_token stop) { return Show(*options, stop); };
}

}  // namespace reckon
