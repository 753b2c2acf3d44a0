#include "learner/update/policy_update.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/model/torch_status.h"
#include "learner/report/learner_metrics.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

// Mean of -log p over the loss tokens of the global batch.
class CrossEntropy : public SequenceLoss {
 public:
  void Begin(absl::Span<const TrainingSequence* const> batch) override {
    int64_t loss_tokens = 0;
    for (const TrainingSequence* sequence : batch) loss_tokens += LossTokens(*sequence);
    // Divided by the loss tokens of the global batch, not of the micro-batch: sums over
    // micro-batches and ranks then add up to the same mean however the work is divided.
    scale_ = -1.0 / static_cast<double>(loss_tokens);
  }
  at::Tensor Of(const std::vector<size_t>&, const MicroBatch&, const TokenStates& states) override {
    return states.logprobs.sum().mul(scale_);
  }

 private:
  double scale_ = 0;
};

}  // namespace

PolicyUpdate::PolicyUpdate(Transformer* model, Parallel* parallel, const TrainingSettings& training,
                           int64_t micro_batch_tokens, const TrainedTensors& extra)
    : model_(*model),
      parallel_(*parallel),
      max_grad_norm_(training.max_grad_norm()),
      micro_batch_tokens_(micro_batch_tokens) {
  parameters_ = model_.Trained();
  parameters_.insert(parameters_.end(), extra.begin(), extra.end());
  std::vector<at::Tensor> stepped;
  for (const TrainedTensor& parameter : parameters_) {
    CHECK(parameter.values.is_contiguous() && parameter.values.scalar_type() == at::kFloat)
        << parameter.tensors[0].name;
    stepped.push_back(parameter.values);
  }
  MakeGradient();
  adam_ = std::make_unique<AdamW>(training, model_.backend(), std::move(stepped));
}

void PolicyUpdate::MakeGradient() {
  int64_t total = 0, offset = 0;
  for (const TrainedTensor& parameter : parameters_) total += parameter.values.numel();
  gradient_ = at::zeros({total}, at::TensorOptions(at::kFloat).device(DeviceOf(model_.backend())));
  for (const TrainedTensor& parameter : parameters_) {
    const at::Tensor& values = parameter.values;
    // Autograd adds in place to a gradient that is set.
    values.mutable_grad() = gradient_.narrow(0, offset, values.numel()).view(values.sizes());
    offset += values.numel();
  }
  gradient_is_zero_ = true;
}

std::unique_ptr<PolicyUpdate> PolicyUpdate::Create(Transformer* model, Parallel* parallel,
                                                   const TrainingSettings& training,
                                                   int64_t micro_batch_tokens,
                                                   const TrainedTensors& extra) {
  return absl::WrapUnique(new PolicyUpdate(model, parallel, training, micro_batch_tokens, extra));
}

PolicyUpdate::~PolicyUpdate() { DropGradient(); }

void PolicyUpdate::DropGradient() {
  // The model's parameters would keep the gradient's memory alive.
  for (TrainedTensor& parameter : parameters_) parameter.values.mutable_grad().reset();
  gradient_ = at::Tensor();
}

void PolicyUpdate::LeaveDevice() {
  adam_->LeaveDevice();
  DropGradient();
}

const AdamMoments& PolicyUpdate::moments() { return adam_->moments(); }
AdamMoments& PolicyUpdate::mutable_moments() { return adam_->mutable_moments(); }

absl::StatusOr<UpdateResult> PolicyUpdate::Step(absl::Span<const TrainingSequence* const> batch,
                                                double learning_rate, SequenceLoss* loss_function) {
  LearnerMetrics& metrics = LearnerMetrics::Process();
  const ActivityScope scope(&metrics.activity, LearnerMetrics::kUpdate);
  const absl::Time begin = absl::Now();
  UpdateResult result;
  result.learning_rate = learning_rate;
  for (const TrainingSequence* sequence : batch) {
    result.tokens += static_cast<int64_t>(sequence->tokens.size());
    result.loss_tokens += LossTokens(*sequence);
  }
  if (result.loss_tokens == 0) {
    return absl::InvalidArgumentError("a training batch holds no token to learn");
  }
  CrossEntropy cross_entropy;
  SequenceLoss& minimized = loss_function != nullptr ? *loss_function : cross_entropy;
  ASSIGN_OR_RETURN(result.loss, CatchTorchErrors("training step", [&] {
                     return AccumulateGradient(batch, minimized);
                   }));
  if (parallel_.world() > 1) {
    auto loss = static_cast<float>(result.loss);
    // Every rank is here in the same order, gradient first. A rank whose share failed has returned
    // above; its process ends, and the others get UNAVAILABLE from this call.
    RETURN_IF_ERROR(SumOverRanks());
    RETURN_IF_ERROR(parallel_.AllReduceSum(absl::MakeSpan(&loss, 1)));
    result.loss = loss;
  }
  const absl::Time has_gradient = absl::Now();
  ASSIGN_OR_RETURN(result.grad_norm,
                   CatchTorchErrors("gradient norm", [&] { return NormOverRanks(); }));
  // After the all-reduce, so that all ranks see the same two numbers and either all of them step or
  // none does. A NaN that reached AdamW would be in the moments for good.
  if (!std::isfinite(result.loss) || !std::isfinite(result.grad_norm)) {
    return absl::InternalError(absl::StrCat("loss ", result.loss, ", gradient norm ",
                                            result.grad_norm,
                                            ": not finite; try a lower learning rate"));
  }
  // Clipping is a factor for AdamW and not a pass over the gradient of its own.
  const double scale = max_grad_norm_ > 0 && result.grad_norm > max_grad_norm_
                           ? max_grad_norm_ / result.grad_norm
                           : 1;
  // From here on parameters change, so an error must not reach a caller who would save them.
  const absl::Status applied = CatchTorchErrors("optimizer step", [&] {
    // One sweep over the memory of all parameters: each is stepped and packed while a cache has it.
    adam_->Begin(gradient_, scale, learning_rate);
    model_.Repack([this](const at::Tensor& parameter) { adam_->StepOf(parameter); });
    adam_->End();
    gradient_is_zero_ = true;
    return absl::OkStatus();
  });
  CHECK(applied.ok()) << applied.message() << "; the parameters are half updated, so this process "
                      << "ends and the run resumes from its last checkpoint";
  metrics.optimizer_steps.Increment();
  result.optimizer_s = absl::ToDoubleSeconds(absl::Now() - has_gradient);
  result.tokens_per_s =
      static_cast<double>(result.tokens) / absl::ToDoubleSeconds(absl::Now() - begin);
  return result;
}

absl::Status PolicyUpdate::SumOverRanks() {
  for (size_t begin = 0, end = 0; begin < parameters_.size(); begin = std::max(end, begin + 1)) {
    // What lies side by side goes in one call.
    int64_t elements = 0;
    for (end = begin; end < parameters_.size() && !parameters_[end].sharded; ++end) {
      elements += parameters_[end].values.numel();
    }
    if (elements == 0) continue;
    const int64_t first = parameters_[begin].values.grad().storage_offset();
    RETURN_IF_ERROR(parallel_.AllReduceSum(gradient_.narrow(0, first, elements)));
  }
  return absl::OkStatus();
}

absl::StatusOr<double> PolicyUpdate::NormOverRanks() {
  if (parallel_.world() == 1 || !model_.sharded()) return GlobalNorm(gradient_);
  double whole = 0, shards = 0;
  for (const TrainedTensor& parameter : parameters_) {
    (parameter.sharded ? shards : whole) += std::pow(GlobalNorm(parameter.values.grad()), 2);
  }
  // In double precision, as the norm of a gradient in one place: clipping then gives the same bits.
  RankGroup& group = *model_.memory().shard_group;
  const at::Tensor mine = at::full({1}, shards, at::kDouble);
  const at::Tensor all = at::empty({group.world()}, at::kDouble);
  const std::unique_ptr<PendingCollective> gather = group.AllGather(mine, all);
  RETURN_IF_ERROR(gather->Wait());
  for (int rank = 0; rank < group.world(); ++rank) {
    whole += all.const_data_ptr<double>()[rank];
  }
  return std::sqrt(whole);
}

absl::StatusOr<double> PolicyUpdate::AccumulateGradient(
    absl::Span<const TrainingSequence* const> batch, SequenceLoss& loss_function) {
  if (!gradient_.defined()) MakeGradient();
  // What an optimizer step that failed has left is dropped, first what is still on its way to the
  // gradient.
  model_.DropPending();
  ReplicaSums* const replicas = model_.memory().replicas;
  if (replicas != nullptr) replicas->Reset();
  if (!std::exchange(gradient_is_zero_, false)) gradient_.zero_();
  loss_function.Begin(batch);
  c10::AutoGradMode with_gradients(true);
  // On the device: a read of each micro-batch's loss would wait for it.
  const at::Tensor loss = at::zeros({}, gradient_.options().dtype(at::kDouble));
  const std::vector<std::vector<size_t>> bins =
      MicroBatchesWithLoss(batch, parallel_.rank(), parallel_.world(), micro_batch_tokens_,
                           /*alike=*/model_.sharded());
  for (const std::vector<size_t>& bin : bins) {
    if (replicas != nullptr && &bin == &bins.back()) replicas->BeginLast();
    std::vector<const TrainingSequence*> sequences;
    for (size_t i : bin) sequences.push_back(batch[i]);
    const MicroBatch micro = PackSequences(sequences, DeviceOf(model_.backend()));
    const TokenStates states = ForwardTokens(model_, micro, loss_function.query());
    const at::Tensor sum = loss_function.Of(bin, micro, states);
    // Frees the activations of this micro-batch before the next is packed: memory is that of one
    // micro-batch.
    sum.backward();
    loss.add_(sum.detach());
    double tokens = 0;
    for (const TrainingSequence* sequence : sequences) {
      tokens += static_cast<double>(sequence->tokens.size());
    }
    LearnerMetrics::Process().trained_tokens.Increment(tokens);
  }
  if (replicas != nullptr) {
    for (const TrainedTensor& parameter : parameters_) {
      if (parameter.sharded) replicas->Add(parameter.values.grad());
    }
    replicas->Finish();
  }
  return loss.item<double>();
}

}  // namespace reckon
