#include "learner/algorithm/evaluate.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/text/json.h"
#include "learner/algorithm/evaluation_json.h"
#include "learner/algorithm/orm_rewards.h"
#include "learner/algorithm/rcrl.h"
#include "learner/algorithm/run_plan.h"

namespace reckon {
namespace {

namespace fs = std::filesystem;

std::string EvalFile(const std::string& run_dir, int64_t index, const std::string& name) {
  return absl::StrCat(run_dir, "/eval/", index, "_", name, ".json");
}

absl::StatusOr<Evaluation> ReadEvaluation(const std::string& path) {
  ASSIGN_OR_RETURN(std::string text, ReadFile(path, 1 << 20));
  ASSIGN_OR_RETURN(nlohmann::json json, ParseJson(text));
  absl::StatusOr<Evaluation> read = EvaluationFromJson(json);
  if (read.ok()) return read;
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", read.status().message()));
}

// The reward model of rerank@K; null before its stage is done.
absl::StatusOr<RewardModel*> Reranker(LearnerContext& context) {
  const std::string& name = context.config.eval().orm();
  std::error_code error;
  const std::string folder = RewardModelFolder(context, name);
  if (name.empty() || (folder != name && !fs::exists(folder + "/reward_head.json", error))) {
    return nullptr;
  }
  return OpenRewardModel(context, name);
}

// The reward model's probability for each rollout.
absl::StatusOr<std::vector<double>> Scores(const LearnerContext& context, RewardModel* reranker,
                                           const std::vector<Rollout>& rollouts) {
  std::vector<double> scores;
  if (reranker == nullptr) return scores;
  std::vector<Solution> solutions;
  for (const Rollout& rollout : rollouts) solutions.push_back(SolutionOf(rollout));
  ASSIGN_OR_RETURN(
      const TokenValues probabilities,
      reranker->Score(*MakeSingle(), solutions, context.config.learner().micro_batch_tokens()));
  for (const std::vector<float>& p : probabilities) scores.push_back(p.back());
  return scores;
}

// One plan over the problems, counted.
absl::Status Count(LearnerContext& context, const std::string& plan, double temperature,
                   uint32_t samples, RewardModel* reranker, GroupMetrics* metrics,
                   int64_t* set_aside) {
  const EvalSettings& eval = context.config.eval();
  SamplingSettings sampling;
  sampling.set_temperature(temperature);
  sampling.set_max_new_tokens(eval.max_new_tokens());
  PlanSpec spec = PinnedPlan(context, *context.data->prompt, sampling);
  spec.set_name(plan);
  spec.set_samples_per_group(samples);
  RewardList rewards;
  *rewards.Add() = eval.reward();
  AddRewards(rewards, &spec);
  for (uint32_t token : ForcedStepLabel(context)) spec.add_step_label_tokens(token);
  std::vector<const Problem*> problems;
  for (const Problem& problem : context.data->eval) problems.push_back(&problem);
  auto count = [&](const Batch& batch) -> absl::Status {
    *set_aside += batch.header.set_aside_size();
    ASSIGN_OR_RETURN(const std::vector<double> scores, Scores(context, reranker, batch.rollouts));
    auto next = scores.begin();
    for (const std::vector<Rollout>& group : SplitGroups(batch.rollouts)) {
      if (reranker == nullptr) {
        metrics->AddGroup(group);
      } else {
        metrics->AddGroup(group, {next, next + static_cast<int64_t>(group.size())});
        next += static_cast<int64_t>(group.size());
      }
    }
    return absl::OkStatus();
  };
  return RunPlan(context, spec, *context.data->prompt, problems, count);
}

absl::StatusOr<Evaluation> Run(LearnerContext& context, const std::string& name) {
  const EvalSettings& settings = context.config.eval();
  uint64_t seed = context.config.seed();
  Evaluation eval;
  eval.index = context.cursor.evals;
  eval.name = name;
  eval.version = context.cursor.version;
  eval.samples = settings.samples();
  eval.temperature = settings.temperature();
  std::string plan = absl::StrCat("eval/", eval.index, "_", name);
  absl::Time begin = absl::Now();

  GroupMetrics greedy, sampled;
  double problems = context.data->eval.size();
  context.reporter->BeginPhase(absl::StrCat("evaluate ", name, ": greedy"), problems, "samples");
  RETURN_IF_ERROR(Count(context, plan + "/greedy", 0, 1, nullptr, &greedy, &eval.set_aside));
  eval.problems = greedy.groups();
  eval.maj_at_1 = greedy.MeanAtOne(settings.bootstrap(), seed);
  eval.greedy_verdicts = greedy.VerdictCounts();
  if (eval.samples > 0) {
    context.reporter->BeginPhase(absl::StrCat("evaluate ", name, ": ", eval.samples, " samples"),
                                 problems * eval.samples, "samples");
    ASSIGN_OR_RETURN(RewardModel * reranker, Reranker(context));
    RETURN_IF_ERROR(Count(context, plan + "/samples", settings.temperature(), settings.samples(),
                          reranker, &sampled, &eval.set_aside));
    eval.reranked = reranker != nullptr;
    if (eval.reranked) {
      eval.rerank_at_k = sampled.RerankAtK(settings.bootstrap(), seed);
      eval.rerank_weighted_at_k = sampled.RerankWeightedAtK(settings.bootstrap(), seed);
      eval.rerank_gain = sampled.RerankGain(settings.bootstrap(), seed);
    }
    eval.maj_at_k = sampled.MajAtK(settings.bootstrap(), seed);
    eval.pass_at_k = sampled.PassAtK(settings.bootstrap(), seed);
    eval.sample_verdicts = sampled.VerdictCounts();
    eval.pass_at = sampled.PassAtPowersOfTwo(settings.samples());
    eval.distinct_texts = sampled.DistinctCorrectTexts();
    eval.distinct_equations = sampled.DistinctCorrectEquations();
  }
  eval.seconds = absl::ToDoubleSeconds(absl::Now() - begin);
  return eval;
}

std::string Percent(const Estimate& e) {
  return absl::StrFormat("%5.1f%% [%4.1f, %4.1f]", 100 * e.value, 100 * e.low, 100 * e.high);
}

void AddEstimate(const std::string& name, const Estimate& estimate,
                 std::map<std::string, double>* values) {
  (*values)[name] = estimate.value;
  (*values)[name + "/low"] = estimate.low;
  (*values)[name + "/high"] = estimate.high;
}

absl::Status Report(LearnerContext& context, const Evaluation& eval) {
  std::map<std::string, double> values = {{"val/problems", double(eval.problems)},
                                          {"val/set_aside", double(eval.set_aside)},
                                          {"val/version", double(eval.version)},
                                          {"timing_s/testing", eval.seconds}};
  AddEstimate("val/maj@1", eval.maj_at_1, &values);
  std::string line = absl::StrFormat("evaluate %s: maj@1 %s", eval.name, Percent(eval.maj_at_1));
  if (eval.samples > 0) {
    AddEstimate("val/maj@K", eval.maj_at_k, &values);
    AddEstimate("val/pass@K", eval.pass_at_k, &values);
    values["val/K"] = eval.samples;
    for (const auto& [k, value] : eval.pass_at) values["val/pass@" + k] = value;
    values["val/distinct_correct/text"] = eval.distinct_texts;
    values["val/distinct_correct/equations"] = eval.distinct_equations;
    absl::StrAppend(&line, "  maj@", eval.samples, " ", Percent(eval.maj_at_k), "  pass@",
                    eval.samples, " ", Percent(eval.pass_at_k));
    if (eval.reranked) {
      AddEstimate("val/rerank@K", eval.rerank_at_k, &values);
      AddEstimate("val/rerank_weighted@K", eval.rerank_weighted_at_k, &values);
      AddEstimate("val/rerank_gain@K", eval.rerank_gain, &values);
      absl::StrAppend(&line, "  rerank@", eval.samples, " ", Percent(eval.rerank_at_k),
                      "  weighted ", Percent(eval.rerank_weighted_at_k));
    }
  }
  for (const auto& [verdict, count] : eval.greedy_verdicts) {
    values[absl::StrCat("val/greedy/", verdict)] = count;
  }
  for (const auto& [verdict, count] : eval.sample_verdicts) {
    values[absl::StrCat("val/samples/", verdict)] = count;
  }
  context.reporter->AddLine(line);
  return context.reporter->Write(values, &context.cursor.step);
}

}  // namespace

absl::StatusOr<Evaluation> Evaluate(LearnerContext& context, const std::string& name) {
  std::string path = EvalFile(context.run_dir, context.cursor.evals, name);
  absl::StatusOr<Evaluation> eval = ReadEvaluation(path);
  if (!eval.ok() || eval->version != context.cursor.version) {
    ASSIGN_OR_RETURN(eval, Run(context, name));
    RETURN_IF_ERROR(MakeFolders(context.run_dir + "/eval"));
    RETURN_IF_ERROR(WriteFileAtomically(path, EvaluationToJson(*eval).dump(1) + "\n"));
  }
  RETURN_IF_ERROR(Report(context, *eval));
  ++context.cursor.evals;
  return eval;
}

absl::StatusOr<std::vector<Evaluation>> ReadEvaluations(const std::string& run_dir) {
  std::vector<Evaluation> evaluations;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(run_dir + "/eval", error)) {
    std::string name = entry.path().filename().string();
    if (entry.path().extension() != ".json" || name == "summary.json") continue;
    ASSIGN_OR_RETURN(Evaluation evaluation, ReadEvaluation(entry.path().string()));
    evaluations.push_back(std::move(evaluation));
  }
  std::sort(evaluations.begin(), evaluations.end(),
            [](const Evaluation& a, const Evaluation& b) { return a.index < b.index; });
  return evaluations;
}

absl::StatusOr<std::vector<std::string>> SummariseEvaluations(const std::string& run_dir) {
  ASSIGN_OR_RETURN(std::vector<Evaluation> evaluations, ReadEvaluations(run_dir));
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  int64_t samples = evaluations.empty() ? 0 : evaluations[0].samples;
  const bool reranked = std::any_of(evaluations.begin(), evaluations.end(),
                                    [](const Evaluation& eval) { return eval.reranked; });
  std::vector<std::string> lines = {
      absl::StrFormat("%-20s %-20s %-20s %-20s %-20s", "evaluation", "maj@1",
                      samples > 0 ? absl::StrCat("maj@", samples) : "",
                      samples > 0 ? absl::StrCat("pass@", samples) : "",
                      reranked ? absl::StrCat("rerank@", samples) : "")};
  for (const Evaluation& eval : evaluations) {
    all.push_back(EvaluationToJson(eval));
    lines.push_back(absl::StrFormat("%-20s %-20s %-20s %-20s %-20s", eval.name,
                                    Percent(eval.maj_at_1),
                                    eval.samples > 0 ? Percent(eval.maj_at_k) : "",
                                    eval.samples > 0 ? Percent(eval.pass_at_k) : "",
                                    eval.reranked ? Percent(eval.rerank_at_k) : ""));
  }
  RETURN_IF_ERROR(WriteFileAtomically(run_dir + "/eval/summary.json", all.dump(1) + "\n"));
  return lines;
}

}  // namespace reckon
