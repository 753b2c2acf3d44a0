#include "learner/loss/ppo_loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/base/status_macros.h"
#include "common/model/device_memory.h"
#include "learner/experience/kl.h"
#include "learner/loss/advantage.h"
#include "learner/loss/policy_loss.h"
#include "learner/loss/value_loss.h"
// Last.
#include "common/base/log.h"

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

// The penalty in the reward of each token; none: empty.
std::vector<double> PenaltiesOf(const PpoSettings& settings, double kl_coef, const Experience& e) {
  std::vector<double> out;
  if (settings.kl().place() != PpoSettings::Kl::REWARD) return out;
  for (size_t t = 0; t < e.ref_logprobs.size(); ++t) {
    out.push_back(kl_coef *
                  KlEstimate(settings.kl().estimator(), e.old_logprobs[t], e.ref_logprobs[t]));
  }
  return out;
}

// Advantages and returns of one sample, before whitening.
void FillGae(const PpoSettings& settings, double kl_coef, Experience* e) {
  if (e->length() == 0) return;
  const std::vector<double> penalties = PenaltiesOf(settings, kl_coef, *e);
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
  for (Experience& e : *step) {
    for (size_t t = 0; t < e.ref_logprobs.size(); ++t) {
      const double estimate =
          KlEstimate(settings.kl().estimator(), e.old_logprobs[t], e.ref_logprobs[t]);
      kl.mean += estimate;
      kl.clamped += std::abs(double{e.old_logprobs[t]} - e.ref_logprobs[t]) > kMaxLogRatio;
    }
    tokens += static_cast<double>(e.length());
    e.advantages.assign(e.length(), 0);
  }
  const bool gae = settings.advantage().estimator() == PpoSettings::Advantage::GAE;
  if (!gae) FillGroupAdvantages(settings.advantage().estimator(), step);
  for (Experience& e : *step) {
    if (!gae) {
      SubtractPenalties(PenaltiesOf(settings, kl_coef, e), &e.advantages);
    } else if (!e.values_in_pass) {
      FillGae(settings, kl_coef, &e);
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

void PpoLoss::SetBatch(std::vector<Experience*> batch) {
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
  at::Tensor values;
  if (critic_ != nullptr) {
    values = critic_->Values(micro, states);
    TakeValues(sequences, values);
  }
  auto gather = [&](std::vector<float> Experience::* member) {
    std::vector<float> all;
    for (size_t i : sequences) {
      all.insert(all.end(), (batch_[i]->*member).begin(), (batch_[i]->*member).end());
    }
    CHECK_EQ(static_cast<int64_t>(all.size()), micro.loss_tokens);
    return SendToDevice(at::tensor(all), device);
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
  input.weights = SendToDevice(at::tensor(weights), device);
  const PolicyLoss policy = ClippedPolicyLoss(input, settings_.clip());
  at::Tensor loss = policy.loss;
  if (!sums_.defined()) sums_ = at::zeros({kSums}, states.logprobs.options().requires_grad(false));
  sums_.select(0, kTokens).add_(micro.loss_tokens);
  Add(kPolicy, policy.loss);
  Add(kClipped, policy.clipped);
  Add(kClippedLower, policy.clipped_lower);
  Add(kClamped, policy.clamped);
  Add(kKl, policy.kl);
  Add(kImportance, policy.importance);
  if (kl_coef_ > 0 && settings_.kl().place() == PpoSettings::Kl::LOSS) {
    const at::Tensor reference = gather(&Experience::ref_logprobs);
    const at::Tensor kl = KlEstimate(settings_.kl().estimator(), states.logprobs, reference);
    const at::Tensor kl_loss = (kl * input.weights).sum();
    Add(kKlClamped, IsClamped(states.logprobs - reference).sum());
    Add(kKlLoss, kl_loss);
    loss = loss + kl_loss * kl_coef_;
  }
  if (critic_ != nullptr) {
    const ValueLoss value = ClippedValueLoss(
        {values, gather(&Experience::old_values), gather(&Experience::returns), input.weights},
        settings_.critic().value_clip());
    Add(kValue, value.loss);
    Add(kValueClipped, value.clipped);
    loss = loss + value.loss * settings_.critic().vf_coef();
  }
  return loss;
}

void PpoLoss::TakeValues(const std::vector<size_t>& sequences, const at::Tensor& values) {
  at::Tensor host;
  int64_t first = 0;
  for (size_t i : sequences) {
    Experience& e = *batch_[i];
    const auto length = static_cast<int64_t>(e.length());
    if (e.values_in_pass) {
      if (!host.defined()) host = values.detach().to(at::kCPU).contiguous();
      const float* from = host.const_data_ptr<float>() + first;
      e.old_values.assign(from, from + length);
      FillGae(settings_, kl_coef_, &e);
    }
    first += length;
  }
}

absl::Status PpoLoss::ShareValues(Parallel& parallel) {
  std::vector<float> all;
  for (const Experience* e : batch_) {
    if (!e->values_in_pass) continue;
    all.insert(all.end(), e->old_values.begin(), e->old_values.end());
    if (e->old_values.empty()) all.resize(all.size() + e->length());  // another rank has them
  }
  if (all.empty()) return absl::OkStatus();
  if (parallel.world() > 1) RETURN_IF_ERROR(parallel.AllReduceSum(absl::MakeSpan(all)));
  auto next = all.begin();
  for (Experience* e : batch_) {
    if (!std::exchange(e->values_in_pass, false)) continue;
    const auto end = next + static_cast<int64_t>(e->length());
    e->old_values.assign(next, end);
    next = end;
    FillGae(settings_, kl_coef_, e);
  }
  return absl::OkStatus();
}

void PpoLoss::Add(Sum sum, const at::Tensor& value) {
  if (value.defined()) sums_.select(0, sum).add_(value.detach());
}

absl::Status PpoLoss::Metrics(Parallel& parallel, std::map<std::string, double>* out) {
  std::vector<float> sums(kSums);
  if (sums_.defined()) {
    const at::Tensor host = sums_.to(at::kCPU);
    std::copy_n(host.const_data_ptr<float>(), sums.size(), sums.begin());
  }
  if (parallel.world() > 1) RETURN_IF_ERROR(parallel.AllReduceSum(absl::MakeSpan(sums)));
  const double tokens = std::max(1.0f, sums[kTokens]), batches = std::max(1.0, minibatches_);
  (*out)["actor/pg_loss"] = sums[kPolicy] / batches;
  (*out)["actor/pg_clipfrac"] = sums[kClipped] / tokens;
  (*out)["actor/ratio_clampfrac"] = sums[kClamped] / tokens;
  (*out)["actor/ppo_kl"] = sums[kKl] / tokens;
  if (settings_.clip().ratio_c() > 0) {
    (*out)["actor/pg_clipfrac_lower"] = sums[kClippedLower] / tokens;
  }
  if (settings_.clip().importance_cap() > 0) {
    (*out)["actor/importance_weight"] = sums[kImportance] / tokens;
  }
  if (kl_coef_ > 0 && settings_.kl().place() == PpoSettings::Kl::LOSS) {
    (*out)["actor/kl_loss"] = sums[kKlLoss] / batches;
    (*out)["actor/kl_clampfrac"] = sums[kKlClamped] / tokens;
  }
  if (critic_ != nullptr) {
    (*out)["critic/vf_loss"] = sums[kValue] / batches;
    (*out)["critic/vf_clipfrac"] = sums[kValueClipped] / tokens;
  }
  return absl::OkStatus();
}

}  // namespace reckon
