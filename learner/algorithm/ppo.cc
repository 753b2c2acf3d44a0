#include "learner/algorithm/ppo.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "learner/algorithm/learned_samples.h"
#include "learner/algorithm/orm_rewards.h"
#include "learner/algorithm/ppo_loss.h"
#include "learner/loss/advantage.h"
#include "learner/update/schedule.h"

namespace reckon {
namespace {

// Gives rank 0's rollouts to all.
absl::Status Share(Parallel& parallel, std::vector<Rollout>* rollouts) {
  if (parallel.world() == 1) return absl::OkStatus();
  FetchRolloutsReply message;
  for (Rollout& rollout : *rollouts) *message.add_rollouts() = std::move(rollout);
  std::string bytes = message.SerializeAsString();
  RETURN_IF_ERROR(parallel.Broadcast(&bytes));
  if (!message.ParseFromString(bytes)) return absl::InternalError("rank 0's rollouts are damaged");
  rollouts->assign(std::make_move_iterator(message.mutable_rollouts()->begin()),
                   std::make_move_iterator(message.mutable_rollouts()->end()));
  return absl::OkStatus();
}

std::vector<const TrainingSequence*> Sequences(const std::vector<Experience>& step) {
  std::vector<const TrainingSequence*> out;
  for (const Experience& e : step) out.push_back(&e.sequence);
  return out;
}

double Get(const std::map<std::string, double>& metrics, const char* name) {
  auto it = metrics.find(name);
  return it == metrics.end() ? 0 : it->second;
}

}  // namespace

absl::Status Ppo::Begin(LearnerContext& context) {
  if (!context.resume.has_value()) RETURN_IF_ERROR(GoOn(context));
  ASSIGN_OR_RETURN(const Weights start, OpenVersion(context, context.cursor.stage_version));
  const absl::Span<const char> bytes = start.bytes->bytes();
  if (HasReference() && context.stage().training().lora_rank() == 0) {
    ASSIGN_OR_RETURN(reference_,
                     Transformer::Create(context.model->config(), context.model->compute(),
                                         context.model->backend()));
    RETURN_IF_ERROR(reference_->Load(start.manifest, bytes, /*trainable=*/false));
  }
  if (settings_.adv_estimator() == PpoSettings::GAE) {
    critic_ = std::make_unique<Critic>(
        *context.model, settings_.value_layers(), settings_.detach_value(),
        StreamKey(context.config.seed(), "critic/" + context.stage().name()));
    RETURN_IF_ERROR(critic_->Load(start.manifest, bytes));
    context.extra = critic_->parameters();
  }
  kl_.emplace(settings_.kl_coef(), settings_.kl_target(), settings_.kl_horizon());
  if (context.cursor.round == 0 && context.cursor.phase == Cursor::kBegin) {
    context.cursor.replay = {};  // of an earlier stage, as the batches
    context.cursor.batches = 0;
  } else if (settings_.kl_target() > 0) {
    kl_->Restore(context.cursor.kl_coef);
  }
  if (context.parallel->rank() == 0) {
    ASSIGN_OR_RETURN(stream_, RolloutStream::Open(context, settings_));
  }
  return absl::OkStatus();
}

absl::Status Ppo::PrepareUpdate(LearnerContext& context) {
  if (update_ != nullptr) return absl::OkStatus();
  update_ = PolicyUpdate::Create(context.model, context.parallel, context.stage().training(),
                                 context.config.learner().micro_batch_tokens(), context.extra);
  if (!context.resume.has_value()) return absl::OkStatus();
  if (!context.resume->moments.has_value() ||
      context.resume->moments->first.size() != update_->moments().first.size()) {
    return absl::DataLossError(
        absl::StrCat("checkpoint ", context.resume->path, " lacks the optimizer's moments"));
  }
  update_->moments() = *std::move(context.resume->moments);
  context.resume.reset();
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Experience>> Ppo::Sample(LearnerContext& context) {
  std::vector<Experience> step;
  uint32_t batches = 0, groups = 0;
  while (batches < settings_.max_num_gen_batches() && groups < settings_.prompts()) {
    ASSIGN_OR_RETURN(std::vector<Experience> batch, SampleBatch(context));
    std::move(batch.begin(), batch.end(), std::back_inserter(step));
    groups = MarkFlatGroups(&step);
    batches += 1;
  }
  for (Experience& sample : step) ChargeLength(settings_, &sample);
  context.cursor.batches += batches;
  return step;
}

absl::StatusOr<std::vector<Experience>> Ppo::SampleBatch(LearnerContext& context) {
  std::vector<Rollout> rollouts;
  if (stream_ != nullptr) {
    absl::StatusOr<std::vector<Rollout>> next = stream_->Next(context.cursor.round);
    if (absl::IsCancelled(next.status()) && context.cursor.round > 0) {
      RETURN_IF_ERROR(Save(context, &update_->moments()));  // the step that ended is not lost
    }
    RETURN_IF_ERROR(next.status());
    rollouts = *std::move(next);
  }
  RETURN_IF_ERROR(Share(*context.parallel, &rollouts));
  std::vector<Experience> batch;
  const int64_t vocab_size = context.model->config().vocab_size;
  for (const Rollout& rollout : rollouts) {
    batch.push_back(MakeExperience(rollout, ActorRewards(settings_.reward())));
    for (uint32_t token : batch.back().sequence.tokens) {
      if (token < vocab_size) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          "a rollout's token ", token, " is not in the model's vocabulary of ", vocab_size));
    }
  }
  RETURN_IF_ERROR(AddOrmRewards(context, settings_.reward(), rollouts, &batch));
  return batch;
}

absl::Status Ppo::ScoreReference(LearnerContext& context,
                                 absl::Span<const TrainingSequence* const> sequences,
                                 TokenValues* logprobs) {
  // The adapters were added to the reference.
  Transformer& model = reference_ != nullptr ? *reference_ : *context.model;
  if (reference_ == nullptr) model.SwitchAdapters(false);
  const absl::Status status = ScoreTokens(
      model, *context.parallel, sequences, context.config.learner().micro_batch_tokens(),
      {.temperature = settings_.sampling().temperature()}, logprobs);
  if (reference_ == nullptr) model.SwitchAdapters(true);
  return status;
}

absl::Status Ppo::Score(LearnerContext& context, std::vector<Experience>* step) {
  const std::vector<const TrainingSequence*> sequences = Sequences(*step);
  const int64_t micro = context.config.learner().micro_batch_tokens();
  TokenQuery query = {.temperature = settings_.sampling().temperature()};
  TokenValues old_logprobs, ref_logprobs, values;
  TokenHead head;
  if (critic_ != nullptr) {
    critic_->Repack();
    query.tap_layer = critic_->tap_layer();
    head = [this](const MicroBatch& batch, const TokenStates& states) {
      return critic_->Values(batch, states);
    };
  }
  RETURN_IF_ERROR(ScoreTokens(*context.model, *context.parallel, sequences, micro, query,
                              &old_logprobs, head, &values));
  if (HasReference()) RETURN_IF_ERROR(ScoreReference(context, sequences, &ref_logprobs));
  for (size_t i = 0; i < step->size(); ++i) {
    (*step)[i].old_logprobs = std::move(old_logprobs[i]);
    if (critic_ != nullptr) (*step)[i].old_values = std::move(values[i]);
    if (HasReference()) (*step)[i].ref_logprobs = std::move(ref_logprobs[i]);
  }
  return absl::OkStatus();
}

absl::Status Ppo::Update(LearnerContext& context, const std::vector<Experience>& step,
                         std::map<std::string, double>* metrics) {
  const TrainingSettings& training = context.stage().training();
  std::vector<const Experience*> learned = LearnedSamples(settings_, step);
  (*metrics)["num_samples_learned"] = static_cast<double>(learned.size());
  // As if no sample were left out, so that the rate is a function of the step.
  const int64_t samples = int64_t{settings_.prompts()} * settings_.samples_per_prompt();
  const auto size = static_cast<int64_t>(training.batch_size());
  const int64_t steps_per_round = settings_.ppo_epochs() * ((samples + size - 1) / size);
  int64_t done = context.cursor.round * steps_per_round;
  const int64_t total = rounds() * steps_per_round;

  PpoLoss loss(settings_, kl_->value(), critic_.get());
  double grad_norm = 0, minibatches = 0;
  for (uint32_t epoch = 0; epoch < settings_.ppo_epochs(); ++epoch) {
    Shuffle(learned, StreamKey(context.config.seed(), "order/" + RoundName(context), epoch));
    for (size_t begin = 0; begin < learned.size(); begin += static_cast<size_t>(size)) {
      const size_t end = std::min(learned.size(), begin + static_cast<size_t>(size));
      std::vector<const Experience*> batch(learned.begin() + static_cast<int64_t>(begin),
                                           learned.begin() + static_cast<int64_t>(end));
      std::vector<const TrainingSequence*> sequences;
      for (const Experience* e : batch) sequences.push_back(&e->sequence);
      loss.SetBatch(std::move(batch));
      ASSIGN_OR_RETURN(const UpdateResult result,
                       update_->Step(sequences, LearningRate(training, done++, total), &loss));
      grad_norm += result.grad_norm;
      minibatches += 1;
      (*metrics)["lr"] = result.learning_rate;
    }
  }
  (*metrics)["grad_norm"] = grad_norm / std::max(1.0, minibatches);
  return loss.Metrics(*context.parallel, metrics);
}

absl::Status Ppo::Report(LearnerContext& context, const std::map<std::string, double>& m) {
  context.reporter->AddLine(absl::StrFormat(
      "%s/%d: reward %.3f  kl %.4f  entropy %.3f  pg_loss %.4f  clipfrac %.3f  length %.0f  "
      "truncated %.1f%%  staleness %.1f  mismatch_kl %.1e  %.0f tok/s",
      RoundTitle(context), rounds(), Get(m, "reward"), Get(m, "actor/reward_kl_penalty"),
      Get(m, "actor/entropy"), Get(m, "actor/pg_loss"), Get(m, "actor/pg_clipfrac"),
      Get(m, "response_length/mean"), 100 * Get(m, "response_length/clip_ratio"),
      Get(m, "staleness/mean"), Get(m, "mismatch_kl"), Get(m, "perf/throughput")));
  context.reporter->Update(static_cast<double>(context.cursor.round + 1),
                           Get(m, "perf/throughput"));
  return context.reporter->Write(m, &context.cursor.step);
}

absl::Status Ppo::Round(LearnerContext& context) {
  RETURN_IF_ERROR(PrepareUpdate(context));
  if (!std::exchange(phase_begun_, true)) {
    context.reporter->BeginPhase(context.stage().name(), static_cast<double>(rounds()), "steps");
    context.reporter->Update(static_cast<double>(context.cursor.round), 0);
  }
  const absl::Time begin = absl::Now();
  const int64_t batches = context.cursor.batches;
  ASSIGN_OR_RETURN(std::vector<Experience> step, Sample(context));
  const absl::Time sampled = absl::Now();
  RETURN_IF_ERROR(Score(context, &step));
  std::map<std::string, double> metrics = ExperienceMetrics(step, context.cursor.version);
  metrics["num_gen_batches"] = static_cast<double>(context.cursor.batches - batches);
  const double kl = FillAdvantages(settings_, kl_->value(), &step);
  const absl::Time scored = absl::Now();
  if (HasReference()) {
    metrics["actor/reward_kl_penalty"] = kl;
    metrics["actor/reward_kl_penalty_coeff"] = kl_->value();
  }
  if (critic_ != nullptr) {
    std::vector<float> values, returns;
    for (const Experience& e : step) {
      values.insert(values.end(), e.old_values.begin(), e.old_values.end());
      returns.insert(returns.end(), e.returns.begin(), e.returns.end());
    }
    metrics["critic/vf_explained_var"] = ExplainedVariance(values, returns);
  }
  if (stream_ != nullptr) {
    stream_->AddMetrics(context.cursor.round, &metrics);
    stream_->Learned(context.cursor.round, GroupScores(step));
  }
  RETURN_IF_ERROR(Update(context, step, &metrics));
  const auto samples = static_cast<double>(step.size());
  kl_->Update(kl * metrics["response_length/mean"], samples);
  context.cursor.kl_coef = kl_->value();
  const absl::Time end = absl::Now();
  metrics["timing_s/gen"] = absl::ToDoubleSeconds(sampled - begin);
  metrics["timing_s/old_log_prob"] = absl::ToDoubleSeconds(scored - sampled);
  metrics["timing_s/update_actor"] = absl::ToDoubleSeconds(end - scored);
  metrics["timing_s/step"] = absl::ToDoubleSeconds(end - begin);
  metrics["perf/throughput"] = metrics["num_tokens"] / metrics["timing_s/step"];
  return Report(context, metrics);
}

absl::Status Ppo::Published(LearnerContext& context, bool saved) {
  if (stream_ == nullptr) return absl::OkStatus();
  const int64_t step = context.cursor.round;
  RETURN_IF_ERROR(stream_->Applied(context.cursor.version));
  if (saved) RETURN_IF_ERROR(stream_->Durable());
  if (EvaluatesAfter(step)) phase_begun_ = false;
  return step + 1 == rounds() ? stream_->Close() : absl::OkStatus();
}

bool Ppo::EvaluatesAfter(int64_t round) const {
  return round + 1 == rounds() || (round + 1) % settings_.eval_every() == 0;
}

const AdamMoments* Ppo::moments() const {
  return update_ == nullptr ? nullptr : &update_->moments();
}

}  // namespace reckon
