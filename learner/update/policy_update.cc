#include "learner/update/policy_update.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "learner/update/device_adamw.h"

namespace reckon {
namespace {

// Mean of -log p over the loss tokens of the global batch.
class CrossEntropy : public SequenceLoss {
 public:
  void Begin(absl::Span<const TrainingSequence* const> batch) override {
    int64_t loss_tokens = 0;
    for (const TrainingSequence* sequence : batch) loss_tokens += LossTokens(*sequence);
    scale_ = -1.0 / static_cast<double>(loss_tokens);
  }
  at::Tensor Of(const std::vector<size_t>&, const MicroBatch&, const TokenStates& states) override {
    return states.logprobs.sum().mul(scale_);
  }

 private:
  double scale_ = 0;
};

class PolicyUpdateImpl : public PolicyUpdate {
 public:
  PolicyUpdateImpl(Transformer* model, Parallel* parallel, const TrainingSettings& training,
                   int64_t micro_batch_tokens, const NamedTensors& extra)
      : model_(*model),
        parallel_(*parallel),
        max_grad_norm_(training.max_grad_norm()),
        micro_batch_tokens_(micro_batch_tokens),
        device_(DeviceOf(model->backend())) {
    NamedTensors all = model_.Parameters();
    all.insert(all.end(), extra.begin(), extra.end());
    std::vector<int64_t> sizes;
    int64_t total = 0, offset = 0;
    for (auto& [name, parameter] : all) {
      sizes.push_back(parameter.numel());
      total += parameter.numel();
    }
    gradient_ = at::zeros({total}, at::TensorOptions(at::kFloat).device(device_));
    for (auto& [name, parameter] : all) {
      CHECK(parameter.is_contiguous() && parameter.scalar_type() == at::kFloat) << name;
      // Autograd adds in place to a gradient that is there.
      parameter.mutable_grad() =
          gradient_.narrow(0, offset, parameter.numel()).view(parameter.sizes());
      parameters_.push_back(parameter);
      pointers_.push_back(parameter.data_ptr<float>());
      offset += parameter.numel();
    }
    if (model->backend() == Backend::kOwn) {
      adam_.emplace(training, std::move(sizes));
    } else {
      device_adam_.emplace(training, parameters_);
    }
  }

  ~PolicyUpdateImpl() override {
    for (at::Tensor& parameter : parameters_) parameter.mutable_grad().reset();
  }

  absl::StatusOr<UpdateResult> Step(absl::Span<const TrainingSequence* const> batch,
                                    double learning_rate, SequenceLoss* loss_function) override {
    absl::Time begin = absl::Now();
    UpdateResult result;
    result.learning_rate = learning_rate;
    for (const TrainingSequence* sequence : batch) {
      result.tokens += sequence->tokens.size();
      result.loss_tokens += LossTokens(*sequence);
    }
    if (result.loss_tokens == 0) {
      return absl::InvalidArgumentError("a training batch holds no token to learn");
    }
    CrossEntropy cross_entropy;
    SequenceLoss& lowered = loss_function != nullptr ? *loss_function : cross_entropy;
    lowered.Begin(batch);
    RETURN_IF_ERROR(AccumulateGradient(batch, lowered, &result.loss));

    auto loss = static_cast<float>(result.loss);
    if (parallel_.world() > 1) {
      RETURN_IF_ERROR(parallel_.AllReduceSum(gradient_));
      RETURN_IF_ERROR(parallel_.AllReduceSum(absl::MakeSpan(&loss, 1)));
      result.loss = loss;
    }
    result.grad_norm = device_adam_ ? Norm(gradient_) : Norm(Gradient());
    if (!std::isfinite(result.loss) || !std::isfinite(result.grad_norm)) {
      return absl::InternalError(absl::StrCat("loss ", result.loss, ", gradient norm ",
                                              result.grad_norm,
                                              ": not finite; try a lower learning rate"));
    }
    double scale = max_grad_norm_ > 0 && result.grad_norm > max_grad_norm_
                       ? max_grad_norm_ / result.grad_norm
                       : 1;
    if (device_adam_) {
      device_adam_->Apply(gradient_, scale, learning_rate);
    } else {
      adam_->Apply(pointers_, Gradient(), static_cast<float>(scale), learning_rate);
    }
    model_.Repack();
    result.tokens_per_s = result.tokens / absl::ToDoubleSeconds(absl::Now() - begin);
    return result;
  }

  AdamMoments& moments() override {
    return device_adam_ ? device_adam_->moments() : adam_->moments();
  }

 private:
  // In host memory.
  absl::Span<const float> Gradient() const {
    return absl::MakeConstSpan(gradient_.const_data_ptr<float>(), gradient_.numel());
  }

  // This rank's share; adds its part of the loss to *loss.
  absl::Status AccumulateGradient(absl::Span<const TrainingSequence* const> batch,
                                  SequenceLoss& loss_function, double* loss) {
    try {
      gradient_.zero_();
      c10::AutoGradMode with_gradients(true);
      for (const std::vector<size_t>& bin :
           PlanMicroBatches(batch, parallel_.rank(), parallel_.world(), micro_batch_tokens_)) {
        std::vector<const TrainingSequence*> sequences;
        for (size_t i : bin) sequences.push_back(batch[i]);
        const MicroBatch micro = PackSequences(sequences);
        if (micro.loss_tokens == 0) continue;
        const TokenStates states = ForwardTokens(model_, micro, loss_function.query());
        const at::Tensor sum = loss_function.Of(bin, micro, states);
        sum.backward();
        *loss += sum.item<float>();
      }
    } catch (const c10::Error& error) {
      return absl::InternalError(error.what_without_backtrace());
    } catch (const std::exception& error) {
      return absl::InternalError(error.what());
    }
    return absl::OkStatus();
  }

  Transformer& model_;
  Parallel& parallel_;
  const double max_grad_norm_;
  const int64_t micro_batch_tokens_;
  const c10::Device device_;
  std::optional<AdamW> adam_;  // one of the two
  std::optional<DeviceAdamW> device_adam_;
  std::vector<at::Tensor> parameters_;
  std::vector<float*> pointers_;
  at::Tensor gradient_;  // of all parameters, one after another
};

}  // namespace

std::unique_ptr<PolicyUpdate> PolicyUpdate::Create(Transformer* model, Parallel* parallel,
                                                   const TrainingSettings& training,
                                                   int64_t micro_batch_tokens,
                                                   const NamedTensors& extra) {
  return std::make_unique<PolicyUpdateImpl>(model, parallel, training, micro_batch_tokens, extra);
}

}  // namespace reckon
