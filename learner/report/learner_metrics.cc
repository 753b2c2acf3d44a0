#include "learner/report/learner_metrics.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/telemetry/shared_metrics.h"

namespace reckon {

LearnerMetrics::LearnerMetrics(Registry* registry)
    : activity("learner",
               {"load", "other", "score", "update", "publish", "checkpoint", "evaluate",
                "wait_group", "wait_rollouts", "wait_ranks", "wait_turn"},
               registry),
      trained_tokens(registry->AddCounter("reckon_trained_tokens_total",
                                          "Tokens of this rank's share of the training batches")),
      optimizer_steps(registry->AddCounter("reckon_optimizer_steps_total", "Updates of AdamW")),
      write_seconds(WeightPushSeconds("write", registry)),
      publish_seconds(WeightPushSeconds("publish", registry)),
      checkpoint_seconds(registry->AddHistogram("reckon_checkpoint_seconds", "Writing a checkpoint",
                                                ExponentialBounds(0.01, 2, 16))),
      sent_bytes(WeightBytesTotal("sent", registry)),
      broadcast_bytes(WeightBytesTotal("broadcast", registry)),
      staleness(registry->AddHistogram(
          "reckon_staleness_versions",
          "Versions between the policy that sampled a rollout and the one that learns from it",
          {0, 1, 2, 3, 4, 6, 8, 12, 16, 32})),
      version(PolicyVersion(registry)),
      rank(registry->AddGauge("reckon_rank", "Number of this learner rank; 0 is the leader")),
      step(registry->AddGauge("reckon_step", "Lines of metrics.jsonl, its x axis")),
      last_step(registry->AddGauge("reckon_last_step_timestamp_seconds",
                                   "When the last line of metrics.jsonl was written, since 1970")),
      registry_(*registry) {}

LearnerMetrics& LearnerMetrics::Process() {
  static LearnerMetrics& metrics = *new LearnerMetrics(&Registry::Process());
  return metrics;
}

void LearnerMetrics::ShowLine(int64_t line, const std::map<std::string, double>& values) {
  for (const auto& [name, value] : values) {
    registry_.AddGauge(GaugeNameOf(name), absl::StrCat(name, " of the last line that has it"))
        .Set(value);
  }
  step.Set(static_cast<double>(line + 1));
  last_step.SetToCurrentTime();
}

TimedScope::TimedScope(LearnerMetrics::State state, Histogram* seconds)
    : activity_(&LearnerMetrics::Process().activity, state),
      seconds_(*seconds),
      begin_(absl::Now()) {}

TimedScope::~TimedScope() { seconds_.Observe(absl::ToDoubleSeconds(absl::Now() - begin_)); }

}  // namespace reckon
