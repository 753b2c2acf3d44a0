#include "actor/actor_metrics.h"

#include <string>

#include "common/telemetry/shared_metrics.h"

namespace reckon {
namespace {

Counter& Samples(const char* finish, Registry* registry) {
  return registry->AddCounter("reckon_finished_samples_total",
                              "Samples that the engine finished, by what ended them",
                              {{"finish", finish}});
}

Gauge& EngineSamples(const char* state, Registry* registry) {
  return registry->AddGauge("reckon_engine_samples",
                            "Samples in the engine, being generated or waiting for a place",
                            {{"state", state}});
}

Counter& WeightErrors(const char* reason, Registry* registry) {
  return registry->AddCounter("reckon_weight_errors_total",
                              "Weight versions that an actor could not use, by the reason",
                              {{"reason", reason}});
}

}  // namespace

ActorMetrics::ActorMetrics(Registry* registry)
    : activity("actor",
               {"start", "generate", "load_weights", "wait_lease", "wait_weights", "wait_rewards",
                "wait_coordinator", "wait_turn"},
               registry),
      generated_tokens(
          registry->AddCounter("reckon_generated_tokens_total", "Tokens sampled by the engine")),
      prompt_tokens(registry->AddCounter("reckon_prompt_tokens_total",
                                         "Tokens of prompts and given steps that the engine ran")),
      scored(registry->AddCounter("reckon_scored_rollouts_total",
                                  "Rollouts whose rewards were computed, or should have been")),
      reward_errors(registry->AddCounter("reckon_reward_errors_total",
                                         "Rollouts whose rewards could not be computed")),
      pass_errors(
          registry->AddCounter("reckon_engine_errors_total", "Passes of the engine that failed")),
      failed_leases(registry->AddCounter("reckon_failed_leases_total",
                                         "Leases that were returned with an error")),
      running(EngineSamples("running", registry)),
      waiting(EngineSamples("waiting", registry)),
      unacknowledged(registry->AddGauge(
          "reckon_unacknowledged_rollouts",
          "Rollouts that were sent and that the coordinator has not acknowledged")),
      version(PolicyVersion(registry)),
      rollout_seconds(registry->AddHistogram("reckon_rollout_seconds",
                                             "Generating one sample, from its start to its end",
                                             ExponentialBounds(0.05, 2, 16))),
      rollout_tokens(registry->AddHistogram("reckon_rollout_tokens", "Sampled tokens of one sample",
                                            ExponentialBounds(1, 2, 16))),
      fetch_seconds(WeightPushSeconds("fetch", registry)),
      load_seconds(WeightPushSeconds("load", registry)),
      received_bytes(WeightBytesTotal("received", registry)),
      broadcast_bytes(WeightBytesTotal("broadcast", registry)),
      stopped_(Samples("stop", registry)),
      truncated_(Samples("length", registry)),
      forced_(Samples("forced", registry)),
      refused_(WeightErrors("refused", registry)),
      no_answer_(WeightErrors("no_answer", registry)) {
  for (RewardFailure failure : kAllRewardFailures) {
    reward_failures_[failure] = &registry->AddCounter(
        "reckon_reward_failures_total",
        "Attempts to compute a reward of the user's own that failed, by the reason",
        {{"reason", std::string(RewardFailureName(failure))}});
  }
}

ActorMetrics& ActorMetrics::Process() {
  static ActorMetrics& metrics = *new ActorMetrics(&Registry::Process());
  return metrics;
}

void ActorMetrics::CountPass(const EngineStats& before, const EngineStats& now) {
  generated_tokens.Increment(static_cast<double>(now.sampled_tokens - before.sampled_tokens));
  prompt_tokens.Increment(static_cast<double>(now.prefilled_tokens - before.prefilled_tokens));
}

void ActorMetrics::CountSample(const FinishedSample& sample) {
  const FinishReason finish = sample.rollout.finish();
  (finish == FINISH_STOP ? stopped_ : finish == FINISH_LENGTH ? truncated_ : forced_).Increment();
  rollout_seconds.Observe(absl::ToDoubleSeconds(sample.took));
  int tokens = 0;
  for (const TokenSpan& span : sample.rollout.spans()) {
    if (span.kind() == TokenSpan::SAMPLED) tokens += span.tokens_size();
  }
  rollout_tokens.Observe(tokens);
}

void ActorMetrics::CountFailure(RewardFailure failure) {
  reward_failures_.at(failure)->Increment();
}

void ActorMetrics::CountWeightError(bool refused) { (refused ? refused_ : no_answer_).Increment(); }

}  // namespace reckon
