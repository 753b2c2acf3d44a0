#include "learner/update/scoring.h"

#include <c10/core/GradMode.h>

#include <algorithm>

#include "common/base/status_macros.h"
#include "common/model/torch_status.h"
#include "learner/report/learner_metrics.h"

namespace reckon {
namespace {

// Copies a micro-batch's numbers to the places of its sequences in `to`.
void Scatter(const at::Tensor& from, const std::vector<size_t>& bin, const MicroBatch& micro,
             absl::Span<const size_t> offsets, std::vector<float>* to) {
  const at::Tensor host = from.detach().to(at::kCPU, at::kFloat).contiguous();
  const float* next = host.const_data_ptr<float>();
  for (size_t i = 0; i < bin.size(); ++i) {
    std::copy(next, next + micro.counts[i], to->begin() + static_cast<int64_t>(offsets[bin[i]]));
    next += micro.counts[i];
  }
}

void Split(const std::vector<float>& flat, absl::Span<const size_t> offsets, TokenValues* out) {
  out->clear();
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    out->emplace_back(flat.begin() + static_cast<int64_t>(offsets[i]),
                      flat.begin() + static_cast<int64_t>(offsets[i + 1]));
  }
}

}  // namespace

absl::Status ScoreTokens(Transformer& model, Parallel& parallel,
                         absl::Span<const TrainingSequence* const> batch,
                         int64_t micro_batch_tokens, const TokenQuery& query, TokenValues* logprobs,
                         const TokenHead& head, TokenValues* values) {
  const ActivityScope scope(&LearnerMetrics::Process().activity, LearnerMetrics::kScore);
  // All numbers of the batch are in one flat array, each at a place that follows from the batch
  // alone, so that one all-reduce gives every rank all of them.
  std::vector<size_t> offsets = {0};
  for (const TrainingSequence* sequence : batch) {
    offsets.push_back(offsets.back() + static_cast<size_t>(LossTokens(*sequence)));
  }
  std::vector<float> all_logprobs(query.logprobs ? offsets.back() : 0);
  std::vector<float> all_values(head ? offsets.back() : 0);
  RETURN_IF_ERROR(CatchTorchErrors("scoring", [&] {
    c10::AutoGradMode no_gradients(false);
    // Sequences without a loss token have no place in the arrays.
    for (const std::vector<size_t>& bin :
         MicroBatchesWithLoss(batch, parallel.rank(), parallel.world(), micro_batch_tokens,
                              /*alike=*/model.sharded())) {
      std::vector<const TrainingSequence*> sequences;
      for (size_t i : bin) sequences.push_back(batch[i]);
      const MicroBatch micro = PackSequences(sequences, DeviceOf(model.backend()));
      const TokenStates states = ForwardTokens(model, micro, query);
      if (query.logprobs) Scatter(states.logprobs, bin, micro, offsets, &all_logprobs);
      if (head) Scatter(head(micro, states), bin, micro, offsets, &all_values);
    }
    return absl::OkStatus();
  }));
  // A rank has zeros for the sequences of the others, so the sum is all of them.
  if (parallel.world() > 1) {
    if (query.logprobs) RETURN_IF_ERROR(parallel.AllReduceSum(absl::MakeSpan(all_logprobs)));
    if (head) RETURN_IF_ERROR(parallel.AllReduceSum(absl::MakeSpan(all_values)));
  }
  if (query.logprobs) Split(all_logprobs, offsets, logprobs);
  if (head) Split(all_values, offsets, values);
  return absl::OkStatus();
}

}  // namespace reckon
