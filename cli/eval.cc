#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cli/commands.h"
#include "cli/eval_report.h"
#include "cli/judge.h"
#include "cli/local_session.h"
#include "cli/model_facts.h"
#include "cli/progress_display.h"
#include "cli/run_dir.h"
#include "common/base/status_macros.h"
#include "common/plan/group_metrics.h"
#include "common/weights/model_folder.h"

namespace reckon {
namespace {

constexpr uint32_t kBootstrap = 1000;

uint64_t SampledTokens(const Rollout& rollout) {
  uint64_t tokens = 0;
  for (const TokenSpan& span : rollout.spans()) {
    if (span.kind() == TokenSpan::SAMPLED) tokens += span.tokens_size();
  }
  return tokens;
}

// Shows how far a plan is, twice a second, for as long as it lives. Only its thread uses the
// display meanwhile.
class Watch {
 public:
  Watch(const LocalSession& session, const std::string& plan, Progress progress,
        ProgressDisplay* display)
      : thread_([this, &session, plan, progress, display]() mutable {
          absl::Time began = absl::Now();
          do {
            absl::StatusOr<PlanStatus> status = session.Progress(plan);
            progress.elapsed_s = absl::ToDoubleSeconds(absl::Now() - began);
            if (status.ok()) {
              progress.done = static_cast<double>(status->samples_accepted());
              progress.tokens_per_s =
                  static_cast<double>(status->sampled_tokens()) / progress.elapsed_s;
            }
            display->Show(progress, absl::Now());
          } while (!stop_.WaitFor(absl::Milliseconds(500)));
        }) {}
  ~Watch() {
    stop_.Stop();
    thread_.join();
  }

 private:
  StopToken stop_;
  std::thread thread_;  // last: uses the others
};

// What reckon-judge finds, shown as it goes.
absl::StatusOr<Judge::Scores> Ask(Judge* judge, double samples, const StopToken* stop,
                                  ProgressDisplay* display) {
  Progress progress;
  progress.phase = "reward model";
  progress.unit = "samples";
  progress.total = samples;
  const absl::Time began = absl::Now();
  auto show = [&](double done) {
    progress.done = done;
    progress.elapsed_s = absl::ToDoubleSeconds(absl::Now() - began);
    display->Show(progress, absl::Now());
  };
  show(0);
  ASSIGN_OR_RETURN(Judge::Scores scores, judge->Run(stop, show));
  show(samples);
  return scores;
}

// `judge`: null, or asked about all samples.
absl::StatusOr<EvalOutcome> RunOne(LocalSession* session, const PlanSpec& spec,
                                   const std::string& phase, Judge* judge, const StopToken* stop,
                                   ProgressDisplay* display) {
  EvalOutcome outcome;
  // Kept without tokens, and with the text of what is right; batches may come in any order, and the
  // bootstrap should not depend on it.
  std::map<uint64_t, std::vector<Rollout>> groups;
  Progress progress;
  progress.phase = phase;
  progress.unit = "samples";
  progress.total = static_cast<double>(session->problems().size()) * spec.samples_per_group();
  absl::Time began = absl::Now();
  auto watch = std::make_unique<Watch>(*session, spec.name(), progress, display);
  absl::Status status = session->Run(
      spec, [](const Problem&, WorkItem*) {},
      [&](const Batch& batch) -> absl::Status {
        outcome.set_aside += batch.header.set_aside_size();
        for (const Rollout& rollout : batch.rollouts) {
          if (judge != nullptr) RETURN_IF_ERROR(judge->Record(rollout));
          outcome.tokens += SampledTokens(rollout);
          Rollout kept;
          *kept.mutable_key() = rollout.key();
          *kept.mutable_rewards() = rollout.rewards();
          kept.set_reward(rollout.reward());
          kept.set_finish(rollout.finish());
          if (!rollout.rewards().empty() && rollout.rewards(0).verdict() == CORRECT) {
            kept.set_completion(rollout.completion());
          }
          groups[rollout.key().group()].push_back(std::move(kept));
        }
        outcome.seconds = absl::ToDoubleSeconds(absl::Now() - began);
        return absl::OkStatus();
      });
  watch.reset();
  if (!status.ok()) return status;
  progress.elapsed_s = outcome.seconds;
  progress.tokens_per_s = static_cast<double>(outcome.tokens) / std::max(1e-9, outcome.seconds);
  progress.done = progress.total;
  display->Show(progress, absl::Now());
  Judge::Scores scores;
  if (judge != nullptr) {
    double samples = 0;
    for (const auto& [group, of] : groups) samples += static_cast<double>(of.size());
    ASSIGN_OR_RETURN(scores, Ask(judge, samples, stop, display));
  }
  for (auto& [group, samples] : groups) {
    std::sort(samples.begin(), samples.end(), [](const Rollout& a, const Rollout& b) {
      return a.key().sample() < b.key().sample();
    });
    std::vector<double> scores_of_group;
    for (const Rollout& rollout : samples) {
      if (judge != nullptr) scores_of_group.push_back(scores.at({group, rollout.key().sample()}));
    }
    outcome.metrics.AddGroup(samples, scores_of_group);
  }
  return outcome;
}

}  // namespace

absl::Status Eval(const EvalOptions& options, const StopToken* stop) {
  if (!(options.temperature > 0) && options.samples > 1) {
    return absl::InvalidArgumentError(
        "--temperature: must be above 0, else all samples are equal; or use --samples 0");
  }
  std::string orm;
  if (!options.orm.empty()) {
    if (options.samples == 0) {
      return absl::InvalidArgumentError("--orm: reranks samples; set --samples above 0");
    }
    orm = AbsolutePath(options.orm);
    absl::StatusOr<WeightManifest> policy = ReadModelManifest(AbsolutePath(options.model));
    if (policy.ok()) RETURN_IF_ERROR(CheckRewardModel("--orm", orm, *policy));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<LocalSession> session, LocalSession::Start(options, stop));
  std::optional<Judge> judge;
  if (!orm.empty()) {
    judge.emplace(session->folder(), std::vector<std::string>{
                                         absl::StrCat("--orm=", orm),
                                         absl::StrCat("--model=", AbsolutePath(options.model)),
                                         absl::StrCat("--threads=", options.threads),
                                         absl::StrCat("--compute=", options.fp32 ? "fp32" : "bf16"),
                                     });
  }
  ProgressDisplay display(&std::cerr, ::isatty(2) == 1);
  auto spec = [&](const std::string& name, uint32_t samples, double temperature) {
    PlanSpec spec = session->MakeSpec(name);
    spec.set_samples_per_group(samples);
    spec.mutable_sampling()->set_temperature(temperature);
    spec.mutable_sampling()->set_max_new_tokens(options.max_new_tokens);
    spec.mutable_sampling()->set_seed(options.seed);
    RewardSpec* reward = spec.add_rewards();
    bool flexible = options.reward == "flexible";
    reward->set_name(flexible ? "exact_match_flexible" : "exact_match_strict");
    reward->set_kind(flexible ? RewardSpec::EXACT_MATCH_FLEXIBLE : RewardSpec::EXACT_MATCH_STRICT);
    reward->set_weight(1);
    return spec;
  };
  absl::StatusOr<EvalOutcome> greedy =
      RunOne(session.get(), spec("greedy", 1, 0), "greedy", nullptr, stop, &display);
  std::vector<EvalRow> rows;
  absl::StatusOr<EvalOutcome> sampled = absl::CancelledError();
  if (greedy.ok()) {
    rows.push_back({"maj@1", greedy->metrics.MeanAtOne(kBootstrap, options.seed)});
    if (options.samples > 0) {
      sampled = RunOne(session.get(), spec("samples", options.samples, options.temperature),
                       absl::StrCat(options.samples, " samples each"),
                       judge.has_value() ? &*judge : nullptr, stop, &display);
    }
  }
  display.Finish();
  if (!greedy.ok()) return greedy.status();
  if (options.samples > 0) {
    if (!sampled.ok()) return sampled.status();
    rows.push_back(
        {absl::StrCat("maj@", options.samples), sampled->metrics.MajAtK(kBootstrap, options.seed)});
    rows.push_back({absl::StrCat("pass@", options.samples),
                    sampled->metrics.PassAtK(kBootstrap, options.seed)});
    rows.push_back({absl::StrCat("mean@", options.samples),
                    sampled->metrics.MeanAtOne(kBootstrap, options.seed)});
    if (judge.has_value()) {
      const auto& metrics = sampled->metrics;
      const std::string k = absl::StrCat("@", options.samples);
      rows.push_back({"rerank" + k, metrics.RerankAtK(kBootstrap, options.seed)});
      rows.push_back({"rerank_weighted" + k, metrics.RerankWeightedAtK(kBootstrap, options.seed)});
      rows.push_back({"rerank_gain" + k, metrics.RerankGain(kBootstrap, options.seed)});
    }
  }
  auto* print = options.json ? PrintEvalJson : PrintEvalTable;
  print(options, session->problems().size(), rows, *greedy, sampled.ok() ? &*sampled : nullptr);
  return absl::OkStatus();
}

}  // namespace reckon
