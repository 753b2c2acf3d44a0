#include "learner/update/policy_update.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
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
#include "learner/update/packing.h"

namespace reckon {
namespace {

// Several whole sequences as one forward pass.
struct MicroBatch {
  at::Tensor tokens, positions;    // [rows] int32
  std::vector<int64_t> starts;     // of the sequences
  at::Tensor predicting, targets;  // [loss tokens] int64 rows, int32 token ids
  int64_t loss_tokens = 0;
};

at::Tensor IntTensor(const std::vector<int32_t>& values) {
  at::Tensor out = at::empty({static_cast<int64_t>(values.size())}, at::kInt);
  std::copy(values.begin(), values.end(), out.data_ptr<int32_t>());
  return out;
}

MicroBatch Pack(absl::Span<const TrainingSequence* const> sequences) {
  std::vector<int32_t> tokens, positions, targets;
  std::vector<int64_t> predicting;
  MicroBatch out;
  out.starts.push_back(0);
  for (const TrainingSequence* sequence : sequences) {
    int64_t start = tokens.size();
    for (size_t i = 0; i < sequence->tokens.size(); ++i) {
      tokens.push_back(static_cast<int32_t>(sequence->tokens[i]));
      positions.push_back(static_cast<int32_t>(i));
      if (i == 0 || !sequence->loss[i]) continue;
      predicting.push_back(start + static_cast<int64_t>(i) - 1);
      targets.push_back(static_cast<int32_t>(sequence->tokens[i]));
    }
    out.starts.push_back(tokens.size());
  }
  out.tokens = IntTensor(tokens);
  out.positions = IntTensor(positions);
  out.targets = IntTensor(targets);
  out.loss_tokens = targets.size();
  out.predicting = at::empty({out.loss_tokens}, at::kLong);
  std::copy(predicting.begin(), predicting.end(), out.predicting.data_ptr<int64_t>());
  return out;
}

class PolicyUpdateImpl : public PolicyUpdate {
 public:
  PolicyUpdateImpl(Transformer* model, Parallel* parallel, const TrainingSettings& training,
                   int64_t micro_batch_tokens)
      : model_(*model),
        parallel_(*parallel),
        max_grad_norm_(training.max_grad_norm()),
        micro_batch_tokens_(micro_batch_tokens),
        device_(DeviceOf(model->backend())) {
    std::vector<int64_t> sizes;
    int64_t total = 0, offset = 0;
    for (auto& [name, parameter] : model_.Parameters()) {
      sizes.push_back(parameter.numel());
      total += parameter.numel();
    }
    gradient_ = at::zeros({total}, at::TensorOptions(at::kFloat).device(device_));
    for (auto& [name, parameter] : model_.Parameters()) {
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
                                    double learning_rate) override {
    absl::Time begin = absl::Now();
    UpdateResult result;
    result.learning_rate = learning_rate;
    std::vector<int64_t> lengths;
    for (const TrainingSequence* sequence : batch) {
      lengths.push_back(sequence->tokens.size());
      result.tokens += sequence->tokens.size();
      result.loss_tokens += LossTokens(*sequence);
    }
    if (result.loss_tokens == 0) {
      return absl::InvalidArgumentError("a training batch holds no token to learn");
    }
    RETURN_IF_ERROR(AccumulateGradient(batch, lengths, result.loss_tokens, &result.loss));

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

  // This rank's share; adds its part of the mean loss to *loss.
  absl::Status AccumulateGradient(absl::Span<const TrainingSequence* const> batch,
                                  absl::Span<const int64_t> lengths, int64_t global_loss_tokens,
                                  double* loss) {
    std::vector<const TrainingSequence*> mine;
    std::vector<int64_t> my_lengths;
    std::vector<std::vector<size_t>> assigned = AssignToRanks(lengths, parallel_.world());
    for (size_t i : assigned[parallel_.rank()]) {
      mine.push_back(batch[i]);
      my_lengths.push_back(lengths[i]);
    }
    try {
      gradient_.zero_();
      c10::AutoGradMode with_gradients(true);
      for (const std::vector<size_t>& bin : PackFirstFit(my_lengths, micro_batch_tokens_)) {
        std::vector<const TrainingSequence*> sequences;
        for (size_t i : bin) sequences.push_back(mine[i]);
        MicroBatch micro = Pack(sequences);
        if (micro.loss_tokens == 0) continue;
        std::unique_ptr<AttentionSource> attention =
            PackedAttention(model_.config(), micro.starts, model_.backend());
        at::Tensor hidden = model_.Forward(micro.tokens, micro.positions, *attention);
        at::Tensor logprobs = model_.LogProb(
            at::index_select(hidden, 0, micro.predicting.to(device_)), micro.targets, 1.0);
        at::Tensor sum = logprobs.sum().mul(-1.0 / static_cast<double>(global_loss_tokens));
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
                                                   int64_t micro_batch_tokens) {
  return std::make_unique<PolicyUpdateImpl>(model, parallel, training, micro_batch_tokens);
}

}  // namespace reckon
