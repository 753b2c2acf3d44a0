#ifndef RECKON_LEARNER_UPDATE_POLICY_UPDATE_H_
#define RECKON_LEARNER_UPDATE_POLICY_UPDATE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/model/transformer.h"
#include "learner/parallel/parallel.h"
#include "learner/update/adamw.h"
#include "learner/update/micro_batch.h"
#include "learner/update/training_sequence.h"
#include "proto/config.pb.h"

namespace reckon {

struct UpdateResult {
  double loss = 0;       // of the global batch
  double grad_norm = 0;  // before clipping
  double learning_rate = 0;
  int64_t tokens = 0;  // of the global batch
  int64_t loss_tokens = 0;
  double tokens_per_s = 0;
};

// What an optimizer step lowers. The sum over all micro-batches of all ranks is the batch's loss.
class SequenceLoss {
 public:
  virtual ~SequenceLoss() = default;
  // The batch that the next micro-batches are of. It outlives them.
  virtual void Begin(absl::Span<const TrainingSequence* const> batch) {}
  // A scalar, differentiable. `sequences`: which of the batch are in the micro-batch, in order.
  virtual at::Tensor Of(const std::vector<size_t>& sequences, const MicroBatch& micro,
                        const TokenStates& states) = 0;
  // What it needs of the forward passes.
  virtual TokenQuery query() const { return {}; }
};

// Optimizer steps on a model's fp32 parameters and those of heads on top, over a global batch that
// the ranks divide. The result is the same for any micro-batch size and number of ranks up to the
// order of fp32 sums, and bit-identical for the same ones.
//
// Owns the gradients (one flat buffer that autograd accumulates into) and AdamW's moments; borrows
// model and parallel. Make a new one after the model's weights were loaded again. One thread.
// An error leaves the parameters in no known state: the rank must end.
class PolicyUpdate {
 public:
  static std::unique_ptr<PolicyUpdate> Create(Transformer* model, Parallel* parallel,
                                              const TrainingSettings& training,
                                              int64_t micro_batch_tokens,
                                              const NamedTensors& extra = {});
  virtual ~PolicyUpdate() = default;

  // One step on a batch that is the same on every rank; without a loss, its cross-entropy.
  // INVALID_ARGUMENT: nothing in it is learned.
  // INTERNAL: LibTorch failed, or loss or gradient is not finite (the parameters are then those
  // before the step).
  virtual absl::StatusOr<UpdateResult> Step(absl::Span<const TrainingSequence* const> batch,
                                            double learning_rate, SequenceLoss* loss = nullptr) = 0;

  virtual AdamMoments& moments() = 0;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_UPDATE_POLICY_UPDATE_H_
