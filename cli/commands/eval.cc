#include "cli/commands/eval.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cli/commands/eval_report.h"
#include "cli/commands/flags.h"
#include "cli/commands/model_facts.h"
#include "cli/launcher/orm_scorer.h"
#include "cli/launcher/plan_progress.h"
#include "cli/launcher/progress_display.h"
#include "cli/launcher/run_dir.h"
#include "common/base/command_words.h"
#include "common/base/status_macros.h"
#include "common/config/stage_info.h"
#include "common/model/files/model_folder.h"
#include "common/task/metrics/group_metrics.h"
#include "common/task/prompt/stop_string.h"

namespace reckon {
namespace {

using Groups = std::map<uint64_t, std::vector<Rollout>>;

uint64_t SampledTokens(const Rollout& rollout) {
  uint64_t tokens = 0;
  for (const TokenSpan& span : rollout.spans()) {
    if (span.kind() == TokenSpan::SAMPLED) tokens += span.tokens_size();
  }
  return tokens;
}

// What the metrics need of a rollout: no tokens, and the text of correct ones only.
Rollout Stripped(const Rollout& rollout) {
  Rollout kept;
  *kept.mutable_key() = rollout.key();
  *kept.mutable_rewards() = rollout.rewards();
  kept.set_reward(rollout.reward());
  kept.set_finish(rollout.finish());
  if (!rollout.rewards().empty() && rollout.rewards(0).verdict() == CORRECT) {
    kept.set_completion(rollout.completion());
  }
  return kept;
}

// Runs plans over the problems of a session and shows their progress.
class Evaluator {
 public:
  Evaluator(LocalSession* session, std::stop_token stop)
      : session_(*session), stop_(stop), display_(&std::cerr, ProgressDisplay::OptionsOf(2)) {
    for (const std::string& note : session_.notes()) display_.Print(note);
  }
  ~Evaluator() { display_.Finish(); }

  // `scorer`: null, or scores all samples.
  absl::StatusOr<EvalOutcome> Run(const PlanSpec& spec, const std::string& phase,
                                  OrmScorer* scorer) {
    EvalOutcome outcome{.metrics = GroupMetrics(spec.rewards(0).kind())};
    Groups groups;
    ASSIGN_OR_RETURN(Progress progress, RunPlan(spec, phase, scorer, &groups, &outcome));
    progress.set_elapsed_s(outcome.seconds);
    progress.set_tokens_per_s(static_cast<double>(outcome.tokens) /
                              std::max(1e-9, outcome.seconds));
    progress.set_done(progress.total());
    display_.Show(progress, absl::Now());
    OrmScorer::Scores scores;
    if (scorer != nullptr) {
      ASSIGN_OR_RETURN(scores, Score(scorer, groups));
    }
    // Batches come in any order. The bootstrap must not depend on it, hence the sorted groups.
    for (auto& [group, samples] : groups) {
      std::sort(samples.begin(), samples.end(), [](const Rollout& a, const Rollout& b) {
        return a.key().sample() < b.key().sample();
      });
      std::vector<double> of_group;
      for (const Rollout& rollout : samples) {
        if (scorer != nullptr) of_group.push_back(scores.at({group, rollout.key().sample()}));
      }
      outcome.metrics.AddGroup(samples, of_group);
    }
    outcome.metrics.AddOverlong(session_.overlong().size(), spec.samples_per_group());
    return outcome;
  }

 private:
  // Collects the rollouts of a plan while the session's watch draws the progress; its thread alone
  // uses the display meanwhile. Returns the progress to be completed.
  absl::StatusOr<Progress> RunPlan(const PlanSpec& spec, const std::string& phase,
                                   OrmScorer* scorer, Groups* groups, EvalOutcome* outcome) {
    Progress progress;
    progress.set_phase(phase);
    progress.set_unit("samples");
    progress.set_total(static_cast<double>(session_.problems().size()) * spec.samples_per_group());
    const absl::Time began = absl::Now();
    RETURN_IF_ERROR(session_.Run(
        spec, [](const Problem&, WorkItem*) {},
        [&](const Batch& batch) -> absl::Status {
          outcome->set_aside += batch.header.set_aside_size();
          for (const Rollout& rollout : batch.rollouts) {
            if (scorer != nullptr) {
              Rollout ended = rollout;
              EndAtStopString(session_.tokenizer(), session_.formatter().StopTokenIds(), &ended);
              RETURN_IF_ERROR(scorer->Record(ended));
            }
            outcome->tokens += SampledTokens(rollout);
            (*groups)[rollout.key().group()].push_back(Stripped(rollout));
          }
          outcome->seconds = absl::ToDoubleSeconds(absl::Now() - began);
          return absl::OkStatus();
        },
        ShowOn(&display_, progress)));
    return progress;
  }

  absl::StatusOr<OrmScorer::Scores> Score(OrmScorer* scorer, const Groups& groups) {
    Progress progress;
    progress.set_phase("reward model");
    progress.set_unit("samples");
    for (const auto& [group, samples] : groups) {
      progress.set_total(progress.total() + static_cast<double>(samples.size()));
    }
    const absl::Time began = absl::Now();
    auto show = [&](double done) {
      progress.set_done(done);
      progress.set_elapsed_s(absl::ToDoubleSeconds(absl::Now() - began));
      display_.Show(progress, absl::Now());
    };
    show(0);
    ASSIGN_OR_RETURN(OrmScorer::Scores scores, scorer->Run(stop_, show));
    show(progress.total());
    return scores;
  }

  LocalSession& session_;
  const std::stop_token stop_;
  ProgressDisplay display_;
};

absl::Status CheckOptions(const EvalOptions& options) {
  if (!(options.temperature > 0) && options.samples > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("--temperature: 0 makes the ", options.samples,
                     " samples of a problem equal; set it above 0, or --samples to 0"));
  }
  if (options.answers != "numbers" && options.reward == "flexible") {
    return absl::InvalidArgumentError(
        "--reward: flexible compares numbers; remove it, or set --answers numbers");
  }
  if (const absl::Status split = SplitCommand(options.command).status();
      !options.command.empty() && !split.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--command: '", options.command, "' ", split.message()));
  }
  if (options.orm.empty()) return absl::OkStatus();
  if (options.samples == 0) {
    return absl::InvalidArgumentError(
        "--orm: reranks samples, of which there are none; set "
        "--samples above 0");
  }
  // LocalSession reports a model that cannot be read.
  absl::StatusOr<ModelListing> policy =
      ReadModelListing(AbsolutePath(options.model), AbsolutePath(options.base));
  return policy.ok()
             ? CheckRewardModel("--orm", AbsolutePath(options.orm), policy->manifest.texts())
             : absl::OkStatus();
}

OrmScorer MakeScorer(const EvalOptions& options, const std::string& folder) {
  return OrmScorer(folder, {absl::StrCat("--orm=", AbsolutePath(options.orm)),
                            absl::StrCat("--model=", AbsolutePath(options.model)),
                            absl::StrCat("--base=", AbsolutePath(options.base)),
                            absl::StrCat("--threads=", options.threads),
                            absl::StrCat("--compute=", options.fp32 ? "fp32" : "bf16")});
}

RewardSpec::Kind RewardKind(const EvalOptions& options) {
  if (!options.command.empty()) return RewardSpec::PROCESS;
  if (options.answers == "boxed") return RewardSpec::ANSWER_BOXED;
  if (options.answers == "text") return RewardSpec::ANSWER_TEXT;
  return options.reward == "flexible" ? RewardSpec::EXACT_MATCH_FLEXIBLE
                                      : RewardSpec::EXACT_MATCH_STRICT;
}

PlanSpec MakeSpec(const EvalOptions& options, const LocalSession& session, const std::string& name,
                  uint32_t samples, double temperature) {
  PlanSpec spec = session.MakeSpec(name);
  spec.set_samples_per_group(samples);
  spec.mutable_sampling()->set_temperature(temperature);
  spec.mutable_sampling()->set_max_new_tokens(options.max_new_tokens);
  spec.set_seed(options.seed);
  RewardSpec* reward = spec.add_rewards();
  reward->set_kind(RewardKind(options));
  if (!options.command.empty()) reward->set_command(options.command);
  reward->set_name(RewardName(*reward));
  return spec;
}

std::vector<EvalRow> MakeRows(const EvalOptions& options, const EvalOutcome& greedy,
                              const EvalOutcome* sampled) {
  const uint32_t resamples = EvalSettings().bootstrap();
  std::vector<EvalRow> rows = {{"maj@1", greedy.metrics.MeanAtOne(resamples, options.seed)}};
  if (sampled == nullptr) return rows;
  const GroupMetrics& metrics = sampled->metrics;
  const std::string k = absl::StrCat("@", options.samples);
  const bool votes = metrics.HasVotes();
  if (votes) rows.push_back({"maj" + k, metrics.MajAtK(resamples, options.seed)});
  rows.push_back({"pass" + k, metrics.PassAtK(resamples, options.seed)});
  rows.push_back({"mean" + k, metrics.MeanAtOne(resamples, options.seed)});
  if (options.orm.empty()) return rows;
  rows.push_back({"rerank" + k, metrics.RerankAtK(resamples, options.seed)});
  if (!votes) return rows;
  rows.push_back({"rerank_weighted" + k, metrics.RerankWeightedAtK(resamples, options.seed)});
  rows.push_back({"rerank_gain" + k, metrics.RerankGain(resamples, options.seed)});
  return rows;
}

}  // namespace

absl::Status Eval(const EvalOptions& options, std::stop_token stop) {
  RETURN_IF_ERROR(CheckOptions(options));
  const LocalSession::ContextNeed need = {
      .what = absl::StrCat("--max-new-tokens ", options.max_new_tokens),
      .tokens = [&](const PromptFormatter&, const Problem&) {
        return int64_t{options.max_new_tokens};
      }};
  ASSIGN_OR_RETURN(std::unique_ptr<LocalSession> session, LocalSession::Start(options, need, stop));
  EvalOutcome greedy;
  std::optional<EvalOutcome> sampled;
  {
    Evaluator evaluator(session.get(), stop);
    ASSIGN_OR_RETURN(greedy,
                     evaluator.Run(MakeSpec(options, *session, "greedy", 1, 0), "greedy", nullptr));
    if (options.samples > 0) {
      OrmScorer scorer = MakeScorer(options, session->folder());
      const PlanSpec spec =
          MakeSpec(options, *session, "samples", options.samples, options.temperature);
      ASSIGN_OR_RETURN(sampled, evaluator.Run(spec, absl::StrCat(options.samples, " samples each"),
                                              options.orm.empty() ? nullptr : &scorer));
    }
  }
  const EvalOutcome* samples = sampled.has_value() ? &*sampled : nullptr;
  auto* print = options.json ? PrintEvalJson : PrintEvalTable;
  const size_t overlong = session->overlong().size();
  print(options, session->problems().size() + overlong, overlong,
        MakeRows(options, greedy, samples), greedy, samples);
  return absl::OkStatus();
}

CommandRun AddEval(CLI::App* app) {
  const auto options = std::make_shared<EvalOptions>();
  CLI::App* command =
      app->add_subcommand("eval", "Evaluate a model: maj@1, maj@K, pass@K, rerank@K");
  AddProblemOptions(command, options.get());
  command->add_option("--samples", options->samples, "K of maj@K and pass@K; 0: greedy only")
      ->check(Allowed<EvalSettings>("samples"))
      ->capture_default_str();
  command->add_option("--temperature", options->temperature, "temperature of the K samples")
      ->check(Allowed<EvalSettings>("temperature"))
      ->capture_default_str();
  command->add_option("--max-new-tokens", options->max_new_tokens, "longest completion, in tokens")
      ->check(Allowed<EvalSettings>("max_new_tokens"))
      ->capture_default_str();
  command->add_option("--reward", options->reward, "strict: '#### N'; flexible: the last number")
      ->check(CLI::IsMember({"strict", "flexible"}))
      ->capture_default_str();
  command
      ->add_option("--command", options->command,
                   "a program of your own tells right from wrong, as in \"python3 my_reward.py\" "
                   "(docs/rewards.md)")
      ->excludes("--reward");
  command->add_option("--orm", options->orm,
                      "reward model, as <run>/orm/<stage>; adds rerank@K of the same samples");
  command->add_option("--seed", options->seed, "seed of sampling and intervals")
      ->capture_default_str();
  command->add_flag("--json", options->json, "print the result as JSON");
  command->footer(
      "Examples:\n"
      "  reckon eval --model models/smollm2-135m --data builtin --limit 100\n"
      "  reckon eval --model runs/quickstart/weights/sft_1 --data test.jsonl --samples 8 --json\n"
      "  reckon eval --model runs/a/weights/sft_1 --orm runs/a/orm/orm_1 --data test.jsonl");
  return [options](std::stop_token stop) { return Eval(*options, stop); };
}

}  // namespace reckon
