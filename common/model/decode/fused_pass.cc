#include "common/model/decode/fused_pass.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "common/model/decode/fused_layers.h"
#include "common/model/kernels/cpu/attention.h"
#include "common/model/kernels/cuda/fused_ops.h"
#include "common/model/kernels/torch/packed_attention.h"
#include "common/model/kernels/torch/row_tiles.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

using SequenceIds = std::vector<KvCache::SequenceId>;

// FusedPagedAttention has one block for each row and group of heads, which reads all keys and
// values before its row: a prompt of T tokens reads T^2 / 2 of them, from the L2 cache at best, and
// multiplies without tensor cores. LibTorch's flash kernels read each key T / 128 times and use
// those, but read no pages: the keys and values are gathered first, two launches more a layer and a
// copy of what attention reads anyway. That pays where many rows share their keys. Rows of a
// sequence from which on it is done:
constexpr int64_t kFlashRows = 16;

// Flash kernels are for bf16. They promise no order of sums, and theirs is another than a decode
// step's, so with a row tile every row is computed as a decode step does it.
bool UsesFlash(const Transformer& model, const SequenceIds& sequences) {
  if (model.compute() != Dtype::kBf16 || RowTile() > 0) return false;
  const int64_t rows = static_cast<int64_t>(sequences.size());
  int64_t different = 0;
  for (int64_t i = 0; i < rows; ++i) different += i == 0 || sequences[i] != sequences[i - 1];
  return rows >= kFlashRows * different;
}

at::Tensor Send(const std::vector<int32_t>& values, StepDevice* device) {
  at::Tensor out = at::empty({static_cast<int64_t>(values.size())}, at::kInt);
  std::copy(values.begin(), values.end(), out.mutable_data_ptr<int32_t>());
  return device->Send(out);
}

// The rows' positions; counts the rows in the cache.
std::vector<int32_t> Append(const SequenceIds& sequences, KvCache* cache) {
  std::vector<int32_t> positions;
  for (const KvCache::SequenceId id : sequences) {
    positions.push_back(static_cast<int32_t>(cache->length(id)));
    cache->Append(id);
  }
  return positions;
}

// Where the rows' queries and the keys of all positions of their sequences are, one span a
// sequence.
struct KeyRows {
  AttentionSpans spans;
  std::vector<int32_t> slots;  // of the keys of all spans
};

KeyRows KeysOf(const SequenceIds& sequences, const std::vector<int32_t>& positions,
               const KvCache& cache) {
  KeyRows out;
  int64_t queries = 0;
  for (size_t i = 0; i < sequences.size(); ++i) {
    ++queries;
    if (i + 1 < sequences.size() && sequences[i + 1] == sequences[i]) continue;
    const std::vector<int64_t>& pages = cache.pages(sequences[i]);
    for (int64_t t = 0; t <= positions[i]; ++t) {
      out.slots.push_back(
          static_cast<int32_t>(pages[t / kPageTokens] * kPageTokens + t % kPageTokens));
    }
    out.spans.Add(queries, positions[i] + 1);
    queries = 0;
  }
  return out;
}

}  // namespace

at::Tensor RunFusedPass(const Transformer& model, KvCache* cache, StepDevice* device,
                        const std::vector<int32_t>& tokens, const SequenceIds& sequences) {
  CHECK_EQ(tokens.size(), sequences.size());
  const int64_t count = static_cast<int64_t>(tokens.size()), rows = WithWholeTiles(count);
  const std::vector<int32_t> positions = Append(sequences, cache);
  const int64_t most_pages =
      *std::max_element(positions.begin(), positions.end()) / kPageTokens + 1;
  std::vector<int32_t> ints(rows * (2 + most_pages), 0);
  std::copy(tokens.begin(), tokens.end(), ints.begin());
  std::fill_n(ints.begin() + rows, rows, -1);  // idle
  std::copy(positions.begin(), positions.end(), ints.begin() + rows);
  for (int64_t i = 0; i < count; ++i) {
    std::copy_n(cache->pages(sequences[i]).begin(), positions[i] / kPageTokens + 1,
                ints.begin() + 2 * rows + i * most_pages);
  }
  const at::Tensor sent = Send(ints, device);
  const DeviceRows on_device = {
      .pages_of = sent.narrow(0, 2 * rows, rows * most_pages).view({rows, most_pages}),
      .positions = sent.narrow(0, rows, rows)};
  const TransformerWeights& weights = model.weights();
  const at::Tensor table =
      FusedRopeTable(on_device.positions, weights.rope(), model.config().rope.magnitude);
  const auto run = [&](AttendQueries attend) {
    return RunFusedLayers(model, cache->memory(),
                          FusedEmbed(sent.narrow(0, 0, rows), weights.Embedding()), table,
                          on_device, attend)
        .narrow(0, 0, count);
  };
  if (!UsesFlash(model, sequences)) {
    return run([&](const at::Tensor& queries, const KvPages::Layer& kv) {
      return FusedPagedAttention(queries, kv.keys, kv.values, on_device);
    });
  }
  const KeyRows keys = KeysOf(sequences, positions, *cache);
  const at::Tensor slots = Send(keys.slots, device);
  const at::Tensor begins = Send(keys.spans.begins, device);
  const at::Tensor key_begins = Send(keys.spans.key_begins, device);
  return run([&](const at::Tensor& queries, const KvPages::Layer& kv) {
    return AttendSpans(queries, kv.keys.index_select(0, slots), kv.values.index_select(0, slots),
                       keys.spans, begins, key_begins);
  });
}

}  // namespace reckon
