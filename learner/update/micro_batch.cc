#include "learner/update/micro_batch.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>

#include <algorithm>
#include <map>
#include <memory>

#include "common/model/device_memory.h"
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

// Shorter prompts are not worth a segment: the backward of attention works on a stem and all its
// branches as one task.
constexpr size_t kMinPrompt = 16;

// The tokens before the first loss token, or none if they are few: what samples of one group share.
absl::Span<const uint32_t> PromptOf(const TrainingSequence& sequence) {
  const size_t first =
      std::find(sequence.loss.begin(), sequence.loss.end(), true) - sequence.loss.begin();
  const bool worth = first >= kMinPrompt && first < sequence.loss.size();
  return absl::MakeConstSpan(sequence.tokens).first(worth ? first : 0);
}

// Rows up to the one that predicts the last loss token.
int64_t UsedRows(const TrainingSequence& sequence) {
  const auto last = std::find(sequence.loss.rbegin(), sequence.loss.rend(), true);
  return std::max<int64_t>(sequence.loss.rend() - last - 1, 0);
}

struct PromptOrder {
  bool operator()(absl::Span<const uint32_t> a, absl::Span<const uint32_t> b) const {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
  }
};

}  // namespace

MicroBatch PackSequences(absl::Span<const TrainingSequence* const> sequences, c10::Device device) {
  std::vector<int32_t> tokens, positions, targets;
  std::vector<int64_t> predicting;
  MicroBatch out;
  auto append = [&](const TrainingSequence& sequence, int64_t first, int64_t end, int64_t stem) {
    for (int64_t i = first; i < end; ++i) {
      tokens.push_back(static_cast<int32_t>(sequence.tokens[i]));
      positions.push_back(static_cast<int32_t>(i));
    }
    return out.segments.Add(std::max<int64_t>(end - first, 0), stem);
  };
  absl::Span<const uint32_t> shared;  // the prompt of segment `stem`
  int64_t stem = RowSegments::kNoSegment;
  for (size_t s = 0; s < sequences.size(); ++s) {
    const TrainingSequence& sequence = *sequences[s];
    // Nothing predicts a first token; LossTokens, by which others find their places, would count
    // it.
    CHECK(sequence.loss.empty() || !sequence.loss[0]);
    const absl::Span<const uint32_t> prompt = PromptOf(sequence);
    if (stem == RowSegments::kNoSegment || prompt != shared) {
      const bool shares =
          !prompt.empty() && s + 1 < sequences.size() && prompt == PromptOf(*sequences[s + 1]);
      shared = prompt;
      stem = shares
                 ? append(sequence, 0, static_cast<int64_t>(prompt.size()), RowSegments::kNoSegment)
                 : RowSegments::kNoSegment;
    }
    const int64_t in_stem =
        stem == RowSegments::kNoSegment ? 0 : static_cast<int64_t>(shared.size());
    const int64_t segment = append(sequence, in_stem, UsedRows(sequence), stem);
    for (size_t i = 0; i < sequence.tokens.size(); ++i) {
      if (!sequence.loss[i]) continue;
      const int64_t row = static_cast<int64_t>(i) - 1;
      predicting.push_back(row < in_stem ? out.segments.starts[stem] + row
                                         : out.segments.starts[segment] + row - in_stem);
      targets.push_back(static_cast<int32_t>(sequence.tokens[i]));
    }
    // `loss_tokens` is still the number before this sequence.
    out.counts.push_back(static_cast<int64_t>(targets.size()) - out.loss_tokens);
    out.loss_tokens = targets.size();
  }
  if (sequences.empty()) {
    tokens.push_back(0);
    positions.push_back(0);
    out.segments.Add(1);
  }
  out.tokens = SendToDevice(IntTensor(tokens), device);
  out.positions = SendToDevice(IntTensor(positions), device);
  out.targets = SendToDevice(IntTensor(targets), device);
  const at::Tensor rows = at::empty({out.loss_tokens}, at::kLong);
  std::copy(predicting.begin(), predicting.end(), rows.mutable_data_ptr<int64_t>());
  out.predicting = SendToDevice(rows, device);
  return out;
}

TokenStates ForwardTokens(Transformer& model, const MicroBatch& batch, const TokenQuery& query) {
  LearnerMetrics::Process().activity.Tick();
  const std::shared_ptr<AttentionSource> attention =
      PackedAttention(model.config(), batch.segments, model.backend());
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
  // Sequences by prompt, in the order in which the prompts first occur.
  std::map<absl::Span<const uint32_t>, size_t, PromptOrder> group_of;
  std::vector<std::vector<size_t>> groups;
  int64_t rows = 0;
  for (size_t i = 0; i < batch.size(); ++i) {
    const absl::Span<const uint32_t> prompt = PromptOf(*batch[i]);
    rows += UsedRows(*batch[i]);
    if (!prompt.empty()) {
      const auto [it, is_new] = group_of.try_emplace(prompt, groups.size());
      if (!is_new) {
        groups[it->second].push_back(i);
        rows -= static_cast<int64_t>(prompt.size());
        continue;
      }
    }
    groups.push_back({i});
  }
  const int64_t fair_share = std::max<int64_t>((rows + world - 1) / world, 1);
  std::vector<std::vector<size_t>> parts;
  std::vector<int64_t> lengths;
  for (const std::vector<size_t>& group : groups) {
    const auto prompt = static_cast<int64_t>(PromptOf(*batch[group[0]]).size());
    int64_t branches = 0;
    for (size_t i : group) branches += UsedRows(*batch[i]) - prompt;
    // A group that is larger than a rank's fair share is cut into parts of about one size, or the
    // other ranks would wait for the one that has it.
    const int64_t cuts = std::max<int64_t>((prompt + branches + fair_share - 1) / fair_share, 1);
    const int64_t limit = std::min(micro_batch_tokens, prompt + (branches + cuts - 1) / cuts);
    bool begin = true;
    for (size_t i : group) {
      const int64_t all = UsedRows(*batch[i]), more = all - prompt;
      if (begin || lengths.back() + more > limit) {
        parts.emplace_back();
        lengths.push_back(all);
        begin = false;
      } else {
        lengths.back() += more;
      }
      parts.back().push_back(i);
    }
  }
  // Each rank computes the whole assignment and takes its part. No rank has to be told, and since
  // the batch is the same on every rank, the parts fit together.
  const std::vector<size_t> mine = AssignToRanks(lengths, world)[rank];
  std::vector<int64_t> my_lengths;
  for (size_t part : mine) my_lengths.push_back(lengths[part]);
  std::vector<std::vector<size_t>> bins;
  for (const std::vector<size_t>& bin : PackFirstFit(my_lengths, micro_batch_tokens)) {
    std::vector<size_t>& sequences = bins.emplace_back();
    for (size_t p : bin) {
      const std::vector<size_t>& part = parts[mine[p]];
      sequences.insert(sequences.end(), part.begin(), part.end());
    }
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
