#include "learner/loss/ppo_loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "learner/experience/kl.h"
#include "learner/loss/advantage.h"
#include "learner/loss/policy_loss.h"
#include "learner/loss/value_loss.h"

namespace reckon {
namespace {

// Gives every token of a sample the advantage of its reward among those of its group. Samples of
// one group are neighbours.
void FillGroupAdvantages(PpoSettings::Advantage::Estimator estimator,
                         std::vector<Experience>* step) {
  for (size_t begin = 0, end = 0; begin < step->size(); begin = end) {
    std::vector<double> rewards;
    for (; end < step->size() && (*step)[end].group == (*step)[begin].group; ++end) {
      rewards.push_back((*step)[end].reward);
    }
    if (rewards.size() < 2) continue;  // nothing to compare with: the others were set aside
    const std::vector<float> advantages = GroupAdvantages(rewards, estimator);
    for (size_t i = begin; i < end; ++i) {
      std::fill((*step)[i].advantages.begin(), (*step)[i].advantages.end(), advantages[i - begin]);
    }
  }
}

// Takes from each token the penalties of this token and of the later ones, which it could change.
void SubtractPenalties(const std::vector<double>& penalties, std::vector<float>* advantages) {
  double from_here = 0;
  for (size_t t = penalties.size(); t-- > 0;) {
    from_here += penalties[t];
    (*advantages)[t] -= static_cast<float>(from_here);
  }
}

void FillGae(const PpoSettings& settings, const std::vector<double>& penalties, Experience* e) {
  if (e->length() == 0) return;
  std::vector<float> rewards(e->length());
  for (size_t t = 0; t < penalties.size(); ++t) rewards[t] = static_cast<float>(-penalties[t]);
  double at_end = e->reward;
  for (size_t t = 0; t < e->step_rewards.size(); ++t) {
    rewards[t] += e->step_rewards[t];
    at_end -= e->step_rewards[t];
  }
  rewards.back() += static_cast<float>(at_end);
  Advantages estimated =
      Gae(rewards, e->old_values, settings.advantage().gamma(), settings.advantage().lam());
  e->advantages = std::move(estimated.advantages);
  e->returns = std::move(estimated.returns);
}

}  // namespace

TokenKl FillAdvantages(const PpoSettings& settings, double kl_coef, std::vector<Experience>* step) {
  TokenKl kl;
  double tokens = 0;
  std::vector<std::vector<double>> penalties;  // in the reward; of each token of each sample
  for (Experience& e : *step) {
    std::vector<double>& of_sample = penalties.emplace_back();
    for (size_t t = 0; t < e.ref_logprobs.size(); ++t) {
      const double estimate =
          KlEstimate(settings.kl().estimator(), e.old_logprobs[t], e.ref_logprobs[t]);
      kl.mean += estimate;
      kl.clamped += std::abs(double{e.old_logprobs[t]} - e.ref_logprobs[t]) > kMaxLogRatio;
      if (settings.kl().place() == PpoSettings::Kl::REWARD) of_sample.push_back(kl_coef * estimate);
    }
    tokens += static_cast<double>(e.length());
    e.advantages.assign(e.length(), 0);
  }
  const bool gae = settings.advantage().estimator() == PpoSettings::Advantage::GAE;
  if (!gae) FillGroupAdvantages(settings.advantage().estimator(), step);
  for (size_t i = 0; i < step->size(); ++i) {
    if (gae) {
      FillGae(settings, penalties[i], &(*step)[i]);
    } else {
      SubtractPenalties(penalties[i], &(*step)[i].advantages);
    }
  }
  if (settings.advantage().whiten()) {
    std::vector<std::vector<float>*> all;
    for (Experience& e : *step) all.push_back(&e.advantages);
    Whiten(all);
  }
  kl.mean /= std::max(1.0, tokens);
  kl.clamped /= std::max(1.0, tokens);
  return kl;
}

TokenQuery PpoQuery(const PpoSettings& settings, const Critic* critic) {
  TokenQuery query = {.temperature = settings.sampling().temperature()};
  if (critic != nullptr) query.tap_layer = critic->tap_layer();
  return query;
}

void PpoLoss::SetBatch(std::vector<const Experience*> batch) {
  batch_ = std::move(batch);
  std::vector<int64_t> lengths;
  for (const Experience* e : batch_) lengths.push_back(static_cast<int64_t>(e->length()));
  weights_ =
      TokenWeights(settings_.loss_agg_mode(), lengths, settings_.sampling().max_new_tokens());
  ++minibatches_;
}

void PpoLoss::Begin(absl::Span<const TrainingSequence* const> batch) {
  if (critic_ != nullptr) critic_->Repack();  // the previous optimizer step changed it
}

TokenQuery PpoLoss::query() const { return PpoQuery(settings_, critic_); }

at::Tensor PpoLoss::Of(const std::vector<size_t>& sequences, const MicroBatch& micro,
                       const TokenStates& states) {
  const c10::Device device = states.logprobs.device();
  auto gather = [&](std::vector<float> Experience::* member) {
    std::vector<float> all;
    for (size_t i : sequences) {
      all.insert(all.end(), (batch_[i]->*member).begin(), (batch_[i]->*member).end());
    }
    CHECK_EQ(static_cast<int64_t>(all.size()), micro.loss_tokens);
    return at::tensor(all).to(device);
  };
  std::vector<float> weights;
  for (size_t i : sequences) weights.insert(weights.end(), batch_[i]->length(), weights_[i]);

  PolicyLossInput input;
  input.logprobs = states.logprobs;
  input.old_logprobs = gather(&Experience::old_logprobs);
  if (settings_.clip().importance_cap() > 0) {
    input.behaviour_logprobs = gather(&Experience::behaviour_logprobs);
  }
  input.advantages = gather(&Experience::advantages);
  input.weights = at::tensor(weights).to(device);
  const PolicyLoss policy = ClippedPolicyLoss(input, settings_.clip());
  at::Tensor loss = policy.loss;
  sums_[kTokens] += static_cast<float>(micro.loss_tokens);
  sums_[kPolicy] += policy.loss.item<float>();
  sums_[kClipped] += static_cast<float>(policy.clipped);
  sums_[kClippedLower] += static_cast<float>(policy.clipped_lower);
  sums_[kClamped] += static_cast<float>(policy.clamped);
  sums_[kKl] += static_cast<float>(policy.kl);
  sums_[kImportance] += static_cast<float>(policy.importance);
  if (kl_coef_ > 0 && settings_.kl().place() == PpoSettings::Kl::LOSS) {
    const at::Tensor reference = gather(&Experience::ref_logprobs);
    const at::Tensor kl = KlEstimate(settings_.kl().estimator(), states.logprobs, reference);
    const at::Tensor kl_loss = (kl * input.weights).sum();
    sums_[kKlClamped] += IsClamped(states.logprobs - reference).sum().item<float>();
    sums_[kKlLoss] += kl_loss.item<float>();
    loss = loss + kl_loss * kl_coef_;
  }
  if (critic_ != nullptr) {
    const at::Tensor values = critic_->Values(micro, states);
    const ValueLoss value = ClippedValueLoss(
        {values, gather(&Experience::old_values), gather(&Experience::returns), input.weights},
        settings_.critic().value_clip());
    sums_[kValue] += value.loss.item<float>();
    sums_[kValueClipped] += static_cast<float>(value.clipped);
    loss = loss + value.loss * settings_.critic().vf_coef();
  }
  return loss;
}

absl::Status PpoLoss::Metrics(Parallel& parallel, std::map<std::string, double>* out) {
  if (parallel.world() > 1) RETURN_IF_ERROR(parallel.AllReduceSum(absl::MakeSpan(sums_)));
  const double tokens = std::max(1.0f, sums_[kTokens]), batches = std::max(1.0, minibatches_);
  (*out)["actor/pg_loss"] = sums_[kPolicy] / batches;
  (*out)["actor/pg_clipfrac"] = sums_[kClipped] / tokens;
  (*out)["actor/ratio_clampfrac"] = sums_[kClamped] / tokens;
  (*out)["actor/ppo_kl"] = sums_[kKl] / tokens;
  if (settings_.clip().ratio_c() > 0) {
    (*out)["actor/pg_clipfrac_lower"] = sums_[kClippedLower] / tokens;
  }
  if (settings_.clip().importance_cap() > 0) {
    (*out)["actor/importance_weight"] = sums_[kImportance] / tokens;
  }
  if (kl_coef_ > 0 && settings_.kl().place() == PpoSettings::Kl::LOSS) {
    (*out)["actor/kl_loss"] = sums_[kKlLoss] / batches;
    (*out)["actor/kl_clampfrac"] = sums_[kKlClamped] / tokens;
  }
  if (critic_ != nullptr) {
    (*out)["critic/vf_loss"] = sums_[kValue] / batches;
    (*out)["critic/vf_clipfrac"] = sums_[kValueClipped] / tokens;
  }
  return absl::OkStatus();
}

}  // namespace reckon
