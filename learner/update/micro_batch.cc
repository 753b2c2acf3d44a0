#include "learner/update/micro_batch.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>

#include <algorithm>
#include <memory>

#include "learner/report/learner_metrics.h"
#include "learner/update/packing.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

at::Tensor IntTensor(const std::vector<int32_t>& values) {
  at::Tensor out = at::empty({static_cast<int64_t>(values.size())}, at::kInt);
  std::copy(values.begin(), values.end(), out.data_ptr<int32_t>());
  return out;
}

}  // namespace

MicroBatch PackSequences(absl::Span<const TrainingSequence* const> sequences) {
  std::vector<int32_t> tokens, positions, targets;
  std::vector<int64_t> predicting;
  MicroBatch out;
  out.starts.push_back(0);
  for (const TrainingSequence* sequence : sequences) {
    // Nothing predicts a first token; LossTokens, by which others find their places, would count
    // it.
    CHECK(sequence->loss.empty() || !sequence->loss[0]);
    int64_t start = tokens.size();
    for (size_t i = 0; i < sequence->tokens.size(); ++i) {
      tokens.push_back(static_cast<int32_t>(sequence->tokens[i]));
      positions.push_back(static_cast<int32_t>(i));
      if (!sequence->loss[i]) continue;
      predicting.push_back(start + static_cast<int64_t>(i) - 1);
      targets.push_back(static_cast<int32_t>(sequence->tokens[i]));
    }
    out.starts.push_back(tokens.size());
    // `loss_tokens` is still the number before this sequence.
    out.counts.push_back(static_cast<int64_t>(targets.size()) - out.loss_tokens);
    out.loss_tokens = targets.size();
  }
  if (sequences.empty()) {
    tokens.push_back(0);
    positions.push_back(0);
    out.starts.push_back(1);
  }
  out.tokens = IntTensor(tokens);
  out.positions = IntTensor(positions);
  out.targets = IntTensor(targets);
  out.predicting = at::empty({out.loss_tokens}, at::kLong);
  std::copy(predicting.begin(), predicting.end(), out.predicting.data_ptr<int64_t>());
  return out;
}

TokenStates ForwardTokens(Transformer& model, const MicroBatch& batch, const TokenQuery& query) {
  LearnerMetrics::Process().activity.Tick();
  const std::shared_ptr<AttentionSource> attention =
      PackedAttention(model.config(), batch.starts, model.backend());
  Tap tap = {query.tap_layer, {}};
  const at::Tensor hidden = model.Forward(batch.tokens, batch.positions, *attention, &tap);
  TokenStates out;
  out.residual = tap.residual;
  // Only rows that predict a loss token go through the head: prompts need no logits, which are by
  // far the widest part of the pass.
  out.hidden = at::index_select(hidden, 0, batch.predicting.to(hidden.device()));
  if (query.logprobs) {
    out.logprobs = model.LogProb(out.hidden, batch.targets, query.temperature);
  }
  return out;
}

std::vector<std::vector<size_t>> DivideIntoMicroBatches(
    absl::Span<const TrainingSequence* const> batch, int rank, int world,
    int64_t micro_batch_tokens) {
  std::vector<int64_t> lengths;
  for (const TrainingSequence* sequence : batch) lengths.push_back(sequence->tokens.size());
  const std::vector<size_t> mine = AssignToRanks(lengths, world)[rank];
  std::vector<int64_t> my_lengths;
  // Each rank computes the whole assignment and takes its part. No rank has to be told, and since
  // the batch is the same on every rank, the parts fit together.
  for (size_t i : mine) my_lengths.push_back(lengths[i]);
  std::vector<std::vector<size_t>> bins = PackFirstFit(my_lengths, micro_batch_tokens);
  for (std::vector<size_t>& bin : bins) {
    for (size_t& i : bin) i = mine[i];
  }
  return bins;
}

std::vector<std::vector<size_t>> MicroBatchesWithLoss(
    absl::Span<const TrainingSequence* const> batch, int rank, int world,
    int64_t micro_batch_tokens, bool alike) {
  const auto bins_of = [&](int of) {
    std::vector<std::vector<size_t>> bins =
        DivideIntoMicroBatches(batch, of, world, micro_batch_tokens);
    std::erase_if(bins, [&](const std::vector<size_t>& bin) {
      return std::none_of(bin.begin(), bin.end(),
                          [&](size_t i) { return LossTokens(*batch[i]) > 0; });
    });
    return bins;
  };
  std::vector<std::vector<size_t>> mine = bins_of(rank);
  for (int other = 0; alike && other < world; ++other) {
    mine.resize(std::max(mine.size(), bins_of(other).size()));
  }
  return mine;
}

}  // namespace reckon
