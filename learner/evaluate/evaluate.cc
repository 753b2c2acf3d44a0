#include "learner/evaluate/evaluate.h"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/task/metrics/group_metrics.h"
#include "learner/evaluate/evaluation_files.h"
#include "learner/evaluate/evaluation_report.h"
#include "learner/experience/orm_rewards.h"
#include "learner/report/learner_metrics.h"
#include "learner/sampling/run_plan.h"

namespace reckon {
namespace {

// The reward model of rerank@K; null when none is configured or its stage has not ended yet.
absl::StatusOr<RewardModel*> Reranker(LeaderContext& leader) {
  const std::string& name = leader.run.config.eval().orm();
  std::error_code error;
  const std::string folder = RewardModelFolder(leader.run, name);
  // A folder that the user named must exist, and OpenRewardModel says so if it does not. One that a
  // stage of this run writes may not exist yet: evaluations before that stage are made without
  // rerank@K.
  const bool of_this_run = folder != name;
  if (name.empty() ||
      (of_this_run && !std::filesystem::exists(folder + "/reward_head.json", error))) {
    return nullptr;
  }
  return OpenRewardModel(leader, name);
}

PlanSpec EvalPlan(const LeaderContext& leader, const std::string& plan,
                  const std::vector<uint32_t>& step_label, double temperature, uint32_t samples) {
  const EvalSettings& settings = leader.run.config.eval();
  SamplingParams sampling;
  sampling.set_temperature(temperature);
  sampling.set_max_new_tokens(settings.max_new_tokens());
  PlanSpec spec = MakePinnedPlan(leader.run, *leader.data.prompt, sampling);
  spec.set_name(plan);
  spec.set_samples_per_group(samples);
  RewardList rewards;
  *rewards.Add() = settings.reward();
  AddRewards(rewards, &spec);
  for (uint32_t token : step_label) spec.add_step_label_tokens(token);
  return spec;
}

// Of all problems, and of each set of a mixture by its name.
struct EvalMetrics {
  explicit EvalMetrics(RewardSpec::Kind kind) : all(kind) {}
  GroupMetrics all;
  std::map<std::string, GroupMetrics> sets;
};

// Runs the plan over all problems and adds its groups to `metrics`. `reranker` may be null.
absl::Status RunEvalPlan(LeaderContext& leader, const PlanSpec& spec, RewardModel* reranker,
                         EvalMetrics* metrics, Evaluation* evaluation) {
  const RewardSpec::Kind kind = leader.run.config.eval().reward().kind();
  const auto of_set = [&](const std::string& set) -> GroupMetrics& {
    return metrics->sets.try_emplace(set, kind).first->second;
  };
  std::vector<const Problem*> problems;
  for (const Problem& problem : leader.data.eval) problems.push_back(&problem);
  auto count = [&](const Batch& batch) -> absl::Status {
    evaluation->set_set_aside(evaluation->set_aside() + batch.header.set_aside_size());
    std::vector<double> scores;
    if (reranker != nullptr) {
      ASSIGN_OR_RETURN(scores, ScoreRollouts(leader, reranker, batch.rollouts));
    }
    // Scores are in the order of the rollouts, which SplitGroups keeps, so each group takes the
    // next ones.
    auto next = scores.cbegin();
    for (const std::vector<Rollout>& group : SplitGroups(batch.rollouts)) {
      const auto end = reranker == nullptr ? next : next + static_cast<int64_t>(group.size());
      metrics->all.AddGroup(group, {next, end});
      next = end;
      const std::string& set = problems[group[0].key().group()]->set;
      if (!set.empty()) of_set(set).AddGroup(group);
    }
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(RunPlan(leader, spec, *leader.data.prompt, problems, count));
  metrics->all.AddOverlong(leader.data.overlong_eval.count(), spec.samples_per_group());
  for (const auto& [set, count] : leader.data.overlong_eval_of_set) {
    of_set(set).AddOverlong(count, spec.samples_per_group());
  }
  return absl::OkStatus();
}

absl::Status EvaluateGreedily(LeaderContext& leader, const std::string& plan,
                              const std::vector<uint32_t>& step_label, Evaluation* evaluation) {
  leader.run.reporter->BeginPhase(absl::StrCat("evaluate ", evaluation->name(), ": greedy"),
                                  static_cast<double>(leader.data.eval.size()), "samples");
  EvalMetrics measured(leader.run.config.eval().reward().kind());
  const GroupMetrics& metrics = measured.all;
  RETURN_IF_ERROR(RunEvalPlan(leader, EvalPlan(leader, plan + "/greedy", step_label, 0, 1), nullptr,
                              &measured, evaluation));
  for (const auto& [name, set] : measured.sets) {
    Evaluation::Set& out = (*evaluation->mutable_sets())[name];
    out.set_problems(static_cast<uint32_t>(set.groups()));
    *out.mutable_maj_at_1() =
        set.MeanAtOne(leader.run.config.eval().bootstrap(), leader.run.config.seed());
  }
  evaluation->set_problems(static_cast<uint32_t>(metrics.groups()));
  evaluation->set_overlong(static_cast<uint32_t>(leader.data.overlong_eval.count()));
  *evaluation->mutable_maj_at_1() =
      metrics.MeanAtOne(leader.run.config.eval().bootstrap(), leader.run.config.seed());
  for (const auto& [verdict, count] : metrics.VerdictCounts()) {
    (*evaluation->mutable_greedy_verdicts())[verdict] = static_cast<uint32_t>(count);
  }
  return absl::OkStatus();
}

absl::Status EvaluateSamples(LeaderContext& leader, const std::string& plan,
                             const std::vector<uint32_t>& step_label, Evaluation* evaluation) {
  const EvalSettings& settings = leader.run.config.eval();
  const uint32_t samples = settings.samples(), bootstrap = settings.bootstrap();
  const uint64_t seed = leader.run.config.seed();
  leader.run.reporter->BeginPhase(
      absl::StrCat("evaluate ", evaluation->name(), ": ", samples, " samples"),
      static_cast<double>(leader.data.eval.size()) * samples, "samples");
  ASSIGN_OR_RETURN(RewardModel* const reranker, Reranker(leader));
  EvalMetrics measured(settings.reward().kind());
  const GroupMetrics& metrics = measured.all;
  RETURN_IF_ERROR(RunEvalPlan(
      leader, EvalPlan(leader, plan + "/samples", step_label, settings.temperature(), samples),
      reranker, &measured, evaluation));
  const bool votes = metrics.HasVotes();
  if (votes) *evaluation->mutable_maj_at_k() = metrics.MajAtK(bootstrap, seed);
  *evaluation->mutable_pass_at_k() = metrics.PassAtK(bootstrap, seed);
  if (reranker != nullptr) {
    *evaluation->mutable_rerank_at_k() = metrics.RerankAtK(bootstrap, seed);
  }
  if (reranker != nullptr && votes) {
    *evaluation->mutable_rerank_weighted_at_k() = metrics.RerankWeightedAtK(bootstrap, seed);
    *evaluation->mutable_rerank_gain() = metrics.RerankGain(bootstrap, seed);
  }
  for (const auto& [verdict, count] : metrics.VerdictCounts()) {
    (*evaluation->mutable_sample_verdicts())[verdict] = static_cast<uint32_t>(count);
  }
  for (const auto& [k, value] : metrics.PassAtPowersOfTwo(samples)) {
    (*evaluation->mutable_pass_at())[k] = value;
  }
  for (const auto& [name, set] : measured.sets) {
    Evaluation::Set& out = (*evaluation->mutable_sets())[name];
    if (votes) *out.mutable_maj_at_k() = set.MajAtK(bootstrap, seed);
    *out.mutable_pass_at_k() = set.PassAtK(bootstrap, seed);
  }
  evaluation->mutable_distinct_correct()->set_text(metrics.DistinctCorrectTexts());
  evaluation->mutable_distinct_correct()->set_equations(metrics.DistinctCorrectEquations());
  return absl::OkStatus();
}

absl::StatusOr<Evaluation> RunPlans(LeaderContext& leader, const std::string& name,
                                    const std::string& plan,
                                    const std::vector<uint32_t>& step_label) {
  const absl::Time begin = absl::Now();
  Evaluation evaluation;
  evaluation.set_index(static_cast<uint32_t>(leader.run.cursor.evals()));
  evaluation.set_name(name);
  evaluation.set_version(static_cast<uint32_t>(leader.run.cursor.version()));
  evaluation.set_samples(leader.run.config.eval().samples());
  evaluation.set_temperature(leader.run.config.eval().temperature());
  RETURN_IF_ERROR(EvaluateGreedily(leader, plan, step_label, &evaluation));
  if (evaluation.samples() > 0) {
    RETURN_IF_ERROR(EvaluateSamples(leader, plan, step_label, &evaluation));
  }
  evaluation.set_seconds(absl::ToDoubleSeconds(absl::Now() - begin));
  return evaluation;
}

// The plans of an evaluation that was interrupted are continued, unless the run was resumed with
// other settings of evaluations: then it begins again under other names.
absl::StatusOr<Evaluation> RunPlansOfSettings(LeaderContext& leader, const std::string& name,
                                              const std::vector<uint32_t>& step_label) {
  const std::string first = absl::StrCat("eval/", leader.run.cursor.evals(), "_", name);
  std::string plan = first;
  for (int attempt = 2;; ++attempt) {
    absl::StatusOr<Evaluation> evaluation = RunPlans(leader, name, plan, step_label);
    if (!absl::IsAlreadyExists(evaluation.status())) return evaluation;
    plan = absl::StrCat(first, "_", attempt);
  }
}

}  // namespace

absl::StatusOr<Evaluation> Evaluate(LeaderContext& leader, const std::string& name,
                                    const std::vector<uint32_t>& step_label) {
  const ActivityScope scope(&LearnerMetrics::Process().activity, LearnerMetrics::kEvaluate);
  absl::StatusOr<Evaluation> evaluation =
      ReadEvaluation(leader.run.run_dir, leader.run.cursor.evals(), name);
  // A file of another version is from an attempt that a resume has undone, and is written again. So
  // is one that cannot be read.
  if (!evaluation.ok() || evaluation->version() != leader.run.cursor.version()) {
    ASSIGN_OR_RETURN(evaluation, RunPlansOfSettings(leader, name, step_label));
    RETURN_IF_ERROR(WriteEvaluation(leader.run.run_dir, *evaluation));
  }
  leader.run.reporter->AddLine(EvaluationLine(*evaluation));
  if (leader.run.cursor.evals() == 0) {
    const std::string note = LeftOutNote(leader.run.config, *evaluation);
    if (!note.empty()) leader.run.reporter->AddLine(note);
  }
  RETURN_IF_ERROR(leader.run.reporter->Write(EvaluationMetrics(*evaluation)));
  leader.run.cursor.set_evals(leader.run.cursor.evals() + 1);
  return evaluation;
}

absl::StatusOr<std::vector<std::string>> SummariseEvaluations(const std::string& run_dir) {
  ASSIGN_OR_RETURN(const std::vector<Evaluation> evaluations, ReadEvaluations(run_dir));
  RETURN_IF_ERROR(WriteSummary(run_dir, evaluations));
  return EvaluationTable(evaluations);
}

}  // namespace reckon
