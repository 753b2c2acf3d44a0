#include "learner/algorithm/policy_gradient/metrics.h"

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "learner/loss/advantage.h"

namespace reckon {

StepMetrics::StepMetrics() : begin_(absl::Now()), part_begin_(begin_) {}

void StepMetrics::EndPart(const std::string& part) {
  const absl::Time now = absl::Now();
  values_["timing_s/" + part] = absl::ToDoubleSeconds(now - part_begin_);
  part_begin_ = now;
}

void StepMetrics::AddValues(const std::vector<Experience>& experiences) {
  std::vector<float> values, returns;
  for (const Experience& e : experiences) {
    values.insert(values.end(), e.old_values.begin(), e.old_values.end());
    returns.insert(returns.end(), e.returns.begin(), e.returns.end());
  }
  values_["critic/vf_explained_var"] = ExplainedVariance(values, returns);
}

// Names that this configuration does not report, such as the KL without a reference policy, are
// shown as 0.
double StepMetrics::Get(const std::string& name) const {
  const auto at = values_.find(name);
  return at == values_.end() ? 0 : at->second;
}

absl::Status StepMetrics::Report(RunState& run, int64_t steps) {
  const double seconds = absl::ToDoubleSeconds(absl::Now() - begin_);
  values_["timing_s/step"] = seconds;
  values_["perf/throughput"] = Get("num_tokens") / seconds;
  run.reporter->AddStep(
      absl::StrFormat(
          "%s/%d: reward %.3f  kl %.4f  entropy %.3f  length %.0f  cut %.1f%%  %.0f tok/s",
          RoundTitle(run), steps, Get("reward"), Get("actor/reward_kl_penalty"),
          Get("actor/entropy"), Get("response_length/mean"),
          100 * Get("response_length/clip_ratio"), Get("perf/throughput")),
      "reward", Get("reward"));
  run.reporter->Update(static_cast<double>(run.cursor.round() + 1), Get("perf/throughput"));
  run.reporter->CountSamples(Get("num_samples"), Get("num_tokens"));
  return run.reporter->Write(values_);
}

}  // namespace reckon
