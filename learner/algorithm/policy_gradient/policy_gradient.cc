#include "learner/algorithm/policy_gradient/policy_gradient.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "common/task/prompt/stop_string.h"
#include "learner/context/shared_device.h"
#include "learner/data/checks.h"
#include "learner/data/serialized_rollouts.h"
#include "learner/experience/orm_rewards.h"
#include "learner/experience/recorded_logprobs.h"
#include "learner/loss/ppo_loss.h"
#include "learner/report/learner_metrics.h"
#include "learner/run/resume.h"
#include "learner/run/versions.h"
#include "learner/sampling/backtracking.h"
#include "learner/update/schedule.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

// Replaces `rollouts` on all ranks by the leader's.
absl::Status BroadcastRollouts(Parallel& parallel, std::vector<Rollout>* rollouts) {
  if (parallel.world() == 1) return absl::OkStatus();
  std::string bytes;
  if (parallel.rank() == 0) bytes = SerializeRollouts(*rollouts);
  RETURN_IF_ERROR(parallel.Broadcast(&bytes));
  if (parallel.rank() == 0) return absl::OkStatus();  // the leader has them
  ASSIGN_OR_RETURN(*rollouts, ParseRollouts(bytes));
  return absl::OkStatus();
}

// Versions between the policy that sampled the rollout's oldest token and `version`.
double StalenessOf(const Rollout& rollout, uint64_t version) {
  uint64_t oldest = version;
  for (const TokenSpan& span : rollout.spans()) {
    if (span.kind() == TokenSpan::SAMPLED) oldest = std::min(oldest, span.weight_version());
  }
  return static_cast<double>(version - oldest);
}

std::vector<const TrainingSequence*> SequencesOf(absl::Span<Experience* const> samples) {
  std::vector<const TrainingSequence*> out;
  for (const Experience* sample : samples) out.push_back(&sample->sequence);
  return out;
}

}  // namespace

absl::Status PolicyGradient::Round(RankContext& ranks) {
  RunState& run = ranks.run;
  if (update_ == nullptr) {
    // Not in Begin: RestoreParameters loads the parameters of a resumed run after it, and an
    // optimizer must be made after the weights are loaded.
    RETURN_IF_ERROR(AllNeedDevices(ranks));
    ASSIGN_OR_RETURN(update_, MakePolicyUpdate(ranks));
  }
  // An evaluation takes over the progress bar, so it is set up again after each.
  if (!std::exchange(progress_shown_, true)) {
    run.reporter->BeginPhase(stage().name(), static_cast<double>(rounds()), "steps");
    run.reporter->Update(static_cast<double>(run.cursor.round()), 0);
  }
  StepMetrics metrics;
  const int64_t batches_before = run.cursor.batches();
  ASSIGN_OR_RETURN(Experiences experiences, Sample(ranks));
  metrics["num_gen_batches"] = static_cast<double>(run.cursor.batches() - batches_before);
  metrics.EndPart("gen");

  // Before any update: the old log-probabilities are those of the policy that the first minibatch
  // starts from, so its ratio is 1.
  std::vector<Experience*> samples = SamplesInLoss(settings_, &experiences);
  Order(run, /*epoch=*/0, &samples);
  const auto minibatch_size = static_cast<size_t>(stage().training().batch_size());
  RETURN_IF_ERROR(
      Score(ranks, absl::MakeConstSpan(samples).subspan(0, minibatch_size), &experiences));
  const TokenKl token_kl = FillAdvantages(settings_, kl_->value(), &experiences);
  metrics.Add(ExperienceMetrics(experiences, run.cursor.version()));
  metrics.Add(std::exchange(reward_metrics_, {}).Values());
  if (HasReference()) {
    metrics["actor/reward_kl_penalty"] = token_kl.mean;
    if (settings_.kl().place() == PpoSettings::Kl::REWARD) {
      metrics["actor/kl_clampfrac"] = token_kl.clamped;
    }
    metrics["actor/reward_kl_penalty_coeff"] = kl_->value();
  }
  metrics.EndPart("old_log_prob");

  RETURN_IF_ERROR(Update(ranks, std::move(samples), &metrics));
  // The update may have given the first minibatch its values.
  if (critic_ != nullptr) metrics.AddValues(experiences);
  if (stream_ != nullptr) {
    stream_->AddMetrics(run.cursor.round(), metrics.values());
    stream_->RecordScores(run.cursor.round(), GroupScores(experiences));
  }
  const double sample_kl = token_kl.mean * metrics["response_length/mean"];
  kl_->Update(sample_kl, static_cast<double>(experiences.size()));
  run.cursor.set_kl_coef(kl_->value());
  metrics.EndPart("update_actor");
  return metrics.Report(run, rounds());
}

absl::StatusOr<PolicyGradient::Experiences> PolicyGradient::Sample(RankContext& ranks) {
  Experiences experiences;
  uint32_t batches = 0, differing_groups = 0;
  // All ranks have the same experiences, so they leave the loop after the same number of batches
  // and make the same collective calls.
  while (batches < settings_.filter().max_num_gen_batches() &&
         differing_groups < settings_.prompts()) {
    ASSIGN_OR_RETURN(Experiences batch, SampleBatch(ranks));
    std::move(batch.begin(), batch.end(), std::back_inserter(experiences));
    differing_groups = MarkFlatGroups(&experiences);
    batches += 1;
  }
  for (Experience& experience : experiences) ApplyOverlongPenalty(settings_, &experience);
  // Counted once the step has all its batches: a checkpoint of a stop in between makes the resumed
  // run take the whole step again.
  ranks.run.cursor.set_batches(ranks.run.cursor.batches() + batches);
  return experiences;
}

absl::StatusOr<PolicyGradient::Experiences> PolicyGradient::SampleBatch(RankContext& ranks) {
  ASSIGN_OR_RETURN(std::vector<Rollout> rollouts, NextRollouts(ranks));
  const RewardList actor_rewards = ActorRewards(settings_.reward());
  const ModelConfig& model = ranks.run.model->config();
  Experiences batch;
  for (const Rollout& rollout : rollouts) {
    batch.push_back(MakeExperience(rollout, actor_rewards));
    // Actors sent these tokens, and neither the embedding nor the head checks its index.
    for (uint32_t token : batch.back().sequence.tokens) {
      if (model.HasToken(token)) continue;
      return absl::InvalidArgumentError(absl::StrCat("a rollout's token ", token,
                                                     " is not in the model's vocabulary of ",
                                                     model.num_tokens()));
    }
  }
  RETURN_IF_ERROR(AllRanksAddOrmRewards(ranks, settings_.reward(), &rollouts, &batch));
  for (const Rollout& rollout : rollouts) {
    reward_metrics_.Add(rollout, stream_ == nullptr ? "" : stream_->SetOf(rollout.key().group()));
  }
  return batch;
}

absl::StatusOr<std::vector<Rollout>> PolicyGradient::NextRollouts(RankContext& ranks) {
  LearnerMetrics& metrics = LearnerMetrics::Process();
  const ActivityScope wait(&metrics.activity, LearnerMetrics::kWaitRollouts);
  std::vector<Rollout> rollouts;
  absl::StatusOr<std::vector<Rollout>> next = rollouts;
  const int64_t step = ranks.run.cursor.round();
  // A batch that exists already, as with max_staleness, is learned in the same turn.
  const bool ready = ranks.leader != nullptr && ranks.run.turns_taken && stream_->HasBatch();
  RETURN_IF_ERROR(AllLeaveDevices(ranks, /*waits=*/!ready));
  if (ranks.leader != nullptr) {
    next = stream_->NextBatch(step, ready);
  }
  ASSIGN_OR_RETURN(bool stops, AsLeader(ranks, absl::IsCancelled(next.status())));
  if (!stops) {
    RETURN_IF_ERROR(next.status());
    rollouts = *std::move(next);
    if (ranks.leader != nullptr) {
      const RunData& data = ranks.leader->data;
      const std::vector<uint32_t> ends = data.training->StopTokenIds();
      for (Rollout& rollout : rollouts) {
        EndAtStopString(*data.tokenizer, ends, &rollout);
        metrics.staleness.Observe(StalenessOf(rollout, ranks.run.cursor.version()));
      }
    }
    RETURN_IF_ERROR(BroadcastRollouts(ranks.parallel, &rollouts));
    ASSIGN_OR_RETURN(const bool taken, AllTakeDevices(ranks));
    stops = !taken;
  }
  if (!stops) return rollouts;
  // A stop usually comes while the learner waits here: keep the steps since the last checkpoint. It
  // is not known when the actors would leave, so nothing is computed on the device for that.
  if (step > 0) {
    RETURN_IF_ERROR(SaveRun(ranks, &update_->moments()));
    RETURN_IF_ERROR(SettleSave(ranks, /*wait=*/true));
  }
  return Stopped(ranks.run);
}

void PolicyGradient::Order(const RunState& run, uint32_t epoch,
                           std::vector<Experience*>* samples) const {
  // By the same key on every rank: minibatches are global, and a rank takes its share inside of
  // PolicyUpdate::Step.
  Shuffle(*samples, StreamKey(config_.seed(), "order/" + RoundName(run), epoch));
}

absl::Status PolicyGradient::Score(RankContext& ranks, absl::Span<Experience* const> first,
                                   Experiences* experiences) {
  CheckHasDevice(ranks.run);
  if (critic_ != nullptr) critic_->Repack();  // the last update, or a checkpoint, changed it
  const RecordedLogProbs plan(ranks.run.model->backend(), settings_.sampling().temperature(),
                              config_.actor().weights(), ranks.run.cursor.version(),
                              StreamKey(config_.seed(), "check/" + RoundName(ranks.run)),
                              experiences);
  RETURN_IF_ERROR(ScoreSamples(ranks, plan.scored(), /*logprobs=*/true));
  // Decided anew in each step, so that it is the same in a run that was resumed.
  const bool agree = plan.Agree();
  if (!agree && !std::exchange(disagreement_told_, true)) {
    LOG(WARNING) << "actors record other log-probabilities than this learner computes, for example "
                    "because their processors differ: the learner scores all samples itself";
  }
  std::vector<Experience*> left = plan.recorded();
  if (agree && critic_ == nullptr) left.clear();
  if (agree && critic_ != nullptr && !settings_.advantage().whiten()) {
    const std::set<const Experience*> in_pass(first.begin(), first.end());
    std::erase_if(left, [&](Experience* sample) {
      return sample->values_in_pass = in_pass.contains(sample);
    });
  }
  RETURN_IF_ERROR(ScoreSamples(ranks, left, /*logprobs=*/!agree));
  if (agree) plan.Adopt();
  for (Experience& sample : *experiences) {
    if (sample.end_in_place) sample.behaviour_logprobs.back() = sample.old_logprobs.back();
  }
  return HasReference() ? ScoreReference(ranks, experiences) : absl::OkStatus();
}

absl::Status PolicyGradient::ScoreSamples(RankContext& ranks, absl::Span<Experience* const> samples,
                                          bool logprobs) {
  if (samples.empty()) return absl::OkStatus();
  TokenHead head;
  if (critic_ != nullptr) {
    head = [this](const MicroBatch& batch, const TokenStates& states) {
      return critic_->Values(batch, states);
    };
  }
  TokenQuery query = PpoQuery(settings_, critic_.get());
  query.logprobs = logprobs;
  TokenValues old_logprobs, values;
  RETURN_IF_ERROR(ScoreTokens(*ranks.run.model, ranks.parallel, SequencesOf(samples),
                              config_.learner().micro_batch_tokens(), query, &old_logprobs, head,
                              &values));
  for (size_t i = 0; i < samples.size(); ++i) {
    if (logprobs) samples[i]->old_logprobs = std::move(old_logprobs[i]);
    if (critic_ != nullptr) samples[i]->old_values = std::move(values[i]);
  }
  return absl::OkStatus();
}

absl::Status PolicyGradient::ScoreReference(RankContext& ranks, Experiences* experiences) {
  // With adapters the model without them is the reference policy.
  Transformer& model = reference_ != nullptr ? *reference_ : *ranks.run.model;
  if (reference_ == nullptr) model.SwitchAdapters(false);
  std::vector<const TrainingSequence*> sequences;
  for (const Experience& experience : *experiences) sequences.push_back(&experience.sequence);
  TokenValues logprobs;
  const absl::Status status =
      ScoreTokens(model, ranks.parallel, sequences, config_.learner().micro_batch_tokens(),
                  PpoQuery(settings_, nullptr), &logprobs);
  // Also after an error, so that the model is left as it was found.
  if (reference_ == nullptr) model.SwitchAdapters(true);
  RETURN_IF_ERROR(status);
  for (size_t i = 0; i < experiences->size(); ++i) {
    (*experiences)[i].ref_logprobs = std::move(logprobs[i]);
  }
  return absl::OkStatus();
}

absl::Status PolicyGradient::Update(RankContext& ranks, std::vector<Experience*> samples,
                                    StepMetrics* metrics) {
  const TrainingSettings& training = stage().training();
  // The learning rate is a function of the step: it counts as if no sample were left out.
  const int64_t all_samples = int64_t{settings_.prompts()} * settings_.samples_per_prompt();
  const auto minibatch_size = static_cast<int64_t>(training.batch_size());
  const int64_t steps_per_round =
      settings_.ppo_epochs() * ((all_samples + minibatch_size - 1) / minibatch_size);
  // Computed from the round and not counted, so that a resumed run needs no further state for it.
  int64_t optimizer_step = ranks.run.cursor.round() * steps_per_round;
  const int64_t total_steps = rounds() * steps_per_round;
  (*metrics)["num_samples_learned"] = static_cast<double>(samples.size());

  PpoLoss loss(settings_, kl_->value(), critic_.get());
  double grad_norm = 0, minibatches = 0;
  for (uint32_t epoch = 0; epoch < settings_.ppo_epochs(); ++epoch) {
    if (epoch > 0) Order(ranks.run, epoch, &samples);  // Round did it for the first
    absl::Span<Experience* const> left = samples;
    while (!left.empty()) {
      const auto minibatch = left.first(std::min<size_t>(left.size(), minibatch_size));
      left.remove_prefix(minibatch.size());
      loss.SetBatch({minibatch.begin(), minibatch.end()});
      ASSIGN_OR_RETURN(const UpdateResult result,
                       update_->Step(SequencesOf(minibatch),
                                     LearningRate(training, optimizer_step++, total_steps), &loss));
      ranks.run.trained_at = absl::Now();
      if (minibatches == 0) RETURN_IF_ERROR(loss.ShareValues(ranks.parallel));
      grad_norm += result.grad_norm;
      minibatches += 1;
      (*metrics)["lr"] = result.learning_rate;
    }
  }
  (*metrics)["grad_norm"] = grad_norm / std::max(1.0, minibatches);
  return loss.Metrics(ranks.parallel, metrics->values());
}

absl::Status PolicyGradient::Begin(RankContext& ranks) {
  RunState& run = ranks.run;
  CheckHasDevice(run);
  // RestoreParameters prepares the model of a resumed run.
  if (!run.resume.has_value()) RETURN_IF_ERROR(ContinueFromNewest(run, ranks.parallel));
  ASSIGN_OR_RETURN(const Weights start,
                   OpenVersion(run, ranks.parallel, run.cursor.stage_version()));
  const absl::Span<const char> bytes = start.bytes->bytes();
  if (HasReference() && stage().training().lora_rank() == 0) {
    reference_ = std::make_unique<Transformer>(run.model->config(), run.model->compute(),
                                               run.model->backend(), run.model->memory());
    RETURN_IF_ERROR(reference_->Load(start.manifest, bytes, /*trainable=*/false));
  }
  if (settings_.advantage().estimator() == PpoSettings::Advantage::GAE) {
    critic_ = std::make_unique<Critic>(*run.model, settings_.critic().layers(),
                                       settings_.critic().detach(),
                                       StreamKey(config_.seed(), "critic/" + stage().name()));
    RETURN_IF_ERROR(critic_->Load(start.manifest, bytes));
    run.extra = critic_->Trained();
  }
  kl_.emplace(settings_.kl().coef(), settings_.kl().target(), settings_.kl().horizon());
  if (run.cursor.round() == 0 && run.cursor.phase() == Cursor::BEGIN) {
    run.cursor.clear_replay();  // an earlier stage's
    run.cursor.set_batches(0);
  } else if (settings_.kl().target() > 0) {
    // A coefficient that is steered depends on all steps before; a fixed one is the config's.
    kl_->Restore(run.cursor.kl_coef());
  }
  if (ranks.leader != nullptr) {
    ASSIGN_OR_RETURN(stream_, RolloutStream::Open(*ranks.leader, settings_));
  }
  return absl::OkStatus();
}

absl::Status PolicyGradient::Published(RankContext& ranks, bool saved) {
  const int64_t step = ranks.run.cursor.round();
  if (EvaluatesAfter(step)) progress_shown_ = false;
  if (stream_ == nullptr) return absl::OkStatus();
  // After the version is published: with this call actors may sample further ahead, and they must
  // find the newer policy.
  RETURN_IF_ERROR(stream_->MarkApplied(ranks.run.cursor.version()));
  // Only with a checkpoint: a batch that is durable may lose its rollouts, and a resumed run may
  // need those of every step that no checkpoint covers.
  if (saved) RETURN_IF_ERROR(stream_->MarkDurable());
  // The plan of the last stage stays open: a resumed run may have more steps.
  const bool more_stages = stage_index_ + 1 < config_.stage_size();
  return step + 1 == rounds() && more_stages ? stream_->Close() : absl::OkStatus();
}

bool PolicyGradient::EvaluatesAfter(int64_t round) const {
  return round + 1 == rounds() || (round + 1) % settings_.eval_every() == 0;
}

const AdamMoments* PolicyGradient::moments() const {
  return update_ == nullptr ? nullptr : &update_->moments();
}

absl::Status PolicyGradient::Check(const ModelConfig& model, const RunData& data) const {
  if (settings_.critic().layers() >= model.num_layers) {
    return absl::InvalidArgumentError(
        absl::StrCat(stage().name(), ": ppo.critic.layers: ", settings_.critic().layers(),
                     " of a model with ", model.num_layers,
                     " layers; the critic's layers are on top of at least one of the policy's"));
  }
  RETURN_IF_ERROR(CheckStepRewards(settings_.reward(), data.train));
  if (settings_.backtracking().steps() > 0) {
    const Backtracking backtracking(settings_, *data.prompt, *data.tokenizer);
    const int64_t limit = std::min<int64_t>(stage().training().max_tokens(), model.max_positions);
    RETURN_IF_ERROR(backtracking.Check(data.train, limit));
  }
  return CheckSequencesFit(data, *data.prompt, settings_.sampling().max_new_tokens(),
                           "ppo.sampling.max_new_tokens", stage().training());
}

}  // namespace reckon
