#ifndef RECKON_LEARNER_UPDATE_POLICY_UPDATE_H_
#define RECKON_LEARNER_UPDATE_POLICY_UPDATE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/model/transformer.h"
#include "learner/data/training_sequence.h"
#include "learner/parallel/parallel.h"
#include "learner/update/adamw.h"
#include "learner/update/micro_batch.h"
#include "proto/config.pb.h"

namespace reckon {

struct UpdateResult {
  double loss = 0;       // of the global batch
  double grad_norm = 0;  // before clipping
  double learning_rate = 0;
  int64_t tokens = 0;  // of the global batch
  int64_t loss_tokens = 0;
  double tokens_per_s = 0;
  double optimizer_s = 0;  // of all seconds, those of norm, AdamW and packing
};

// What an optimizer step minimizes. The sum over all micro-batches of all ranks is the batch's
// loss.
class SequenceLoss {
 public:
  virtual ~SequenceLoss() = default;
  // Announces the batch that the next micro-batches are parts of. It outlives them.
  virtual void Begin(absl::Span<const TrainingSequence* const> batch) {}
  // A scalar, differentiable. `sequences`: indices into the batch of those in the micro-batch, in
  // order.
  virtual at::Tensor Of(const std::vector<size_t>& sequences, const MicroBatch& micro,
                        const TokenStates& states) = 0;
  // What it needs from the forward passes.
  virtual TokenQuery query() const { return {}; }
};

// Optimizer steps on a model's fp32 parameters, and on those of heads on top of it, over a global
// batch whose work the ranks divide:
//
//   1. forward and backward passes over this rank's micro-batches; autograd adds to one flat
//      gradient, of shards what all ranks give (ShardedUnits, and ReplicaSums where there are
//      several groups of them)
//   2. all-reduce of the rest of the gradient and the loss
//   3. clipping of the gradient's norm to max_grad_norm
//   4. AdamW and, in the same sweep, Repack of the model's compute-type weights
//
// The result is the same for any micro-batch size and number of ranks up to the order of fp32 sums,
// and bit-identical for the same ones.
//
// With shards every rank steps its own, and AdamW's moments are those of its shards and of what is
// whole. Owns the gradient and AdamW's moments; borrows model and parallel. Make a new one after
// the model's weights were loaded again. One thread.
class PolicyUpdate {
 public:
  // `extra`: parameters beside the model's. Throws what LibTorch throws, as when the gradient does
  // not fit in memory.
  static std::unique_ptr<PolicyUpdate> Create(Transformer* model, Parallel* parallel,
                                              const TrainingSettings& training,
                                              int64_t micro_batch_tokens,
                                              const TrainedTensors& extra = {});
  ~PolicyUpdate();
  PolicyUpdate(const PolicyUpdate&) = delete;
  PolicyUpdate& operator=(const PolicyUpdate&) = delete;

  // One step on a batch that is the same on every rank; all ranks must call it. Without a loss, the
  // mean cross-entropy of the batch's loss tokens.
  //
  // After an error, parameters and moments are those before the step, bit by bit, so a checkpoint
  // of them may be saved: whatever can fail does so before 4. An exception in 4, where parameters
  // are half updated, ends the process.
  //   INVALID_ARGUMENT                nothing in the batch is learned
  //   INTERNAL, RESOURCE_EXHAUSTED    LibTorch failed, or loss or gradient is not finite
  //   UNAVAILABLE, CANCELLED          of the all-reduce
  absl::StatusOr<UpdateResult> Step(absl::Span<const TrainingSequence* const> batch,
                                    double learning_rate, SequenceLoss* loss = nullptr);

  const AdamMoments& moments();    // of the optimizer, in host memory, until the next Step
  AdamMoments& mutable_moments();  // the next Step starts from what the caller leaves in them

  // Frees the gradient, which is zeros between two steps, and takes AdamW's moments home. The next
  // Step brings them back and has the same bits.
  void LeaveDevice();

 private:
  PolicyUpdate(Transformer* model, Parallel* parallel, const TrainingSettings& training,
               int64_t micro_batch_tokens, const TrainedTensors& extra);
  // Zeros, to which autograd adds.
  void MakeGradient();
  void DropGradient();
  // Sums over the ranks what is not of shards.
  absl::Status SumOverRanks();
  // Of all parameters, shards of other ranks included.
  absl::StatusOr<double> NormOverRanks();
  // This rank's share of the gradient; returns its part of the loss.
  absl::StatusOr<double> AccumulateGradient(absl::Span<const TrainingSequence* const> batch,
                                            SequenceLoss& loss_function);

  Transformer& model_;
  Parallel& parallel_;
  const double max_grad_norm_;
  const int64_t micro_batch_tokens_;
  TrainedTensors parameters_;
  // Of all parameters, one after another; zeros between two optimizer steps. Undefined after
  // LeaveDevice.
  at::Tensor gradient_;
  bool gradient_is_zero_ = true;  // or an optimizer step has failed
  std::unique_ptr<AdamW> adam_;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_UPDATE_POLICY_UPDATE_H_
