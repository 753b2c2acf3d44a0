#include "common/model/decode/fused_pass.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <optional>

#include "common/model/decode/fused_layers.h"
#include "common/model/kernels/cuda/flash_infer_attention.h"
#include "common/model/kernels/cuda/fused_ops.h"
#include "common/model/kernels/torch/row_tiles.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

using SequenceIds = std::vector<KvCache::SequenceId>;

at::Tensor Send(const std::vector<int32_t>& values, StepDevice* device) {
  at::Tensor out = at::empty({static_cast<int64_t>(values.size())}, at::kInt);
  std::copy(values.begin(), values.end(), out.mutable_data_ptr<int32_t>());
  return device->Send(out);
}

// The sequences whose rows a pass has, in its order.
std::vector<KvCache::SequenceId> Different(const SequenceIds& of_rows) {
  SequenceIds out = of_rows;
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace

at::Tensor RunFusedPass(const Transformer& model, KvCache* cache, StepDevice* device,
                        const std::vector<int32_t>& tokens, const SequenceIds& sequences) {
  CHECK_EQ(tokens.size(), sequences.size());
  const int64_t count = static_cast<int64_t>(tokens.size()), rows = WithWholeTiles(count);
  std::vector<int32_t> positions;
  for (const KvCache::SequenceId id : sequences) {
    positions.push_back(static_cast<int32_t>(cache->length(id)));
    cache->Append(id);
  }
  const SequenceIds different = Different(sequences);
  std::vector<RowsOfSequence> counted;
  int64_t most_pages = 0;
  for (size_t i = 0; const KvCache::SequenceId id : different) {
    counted.push_back({.tokens = cache->length(id)});
    for (; i < sequences.size() && sequences[i] == id; ++i) ++counted.back().rows;
    most_pages = std::max(most_pages, KvCache::PagesFor(counted.back().tokens));
  }
  std::vector<int32_t> ints(rows * (2 + most_pages), 0);
  std::copy(tokens.begin(), tokens.end(), ints.begin());
  std::fill_n(ints.begin() + rows, rows, -1);  // idle
  std::copy(positions.begin(), positions.end(), ints.begin() + rows);
  auto pages = ints.begin() + 2 * rows;
  for (size_t s = 0; s < different.size(); ++s) {
    for (int64_t row = 0; row < counted[s].rows; ++row, pages += most_pages) {
      std::copy_n(cache->pages(different[s]).begin(), KvCache::PagesFor(counted[s].tokens), pages);
    }
  }
  const at::Tensor sent = Send(ints, device);
  const DeviceRows on_device = {
      .pages_of = sent.narrow(0, 2 * rows, rows * most_pages).view({rows, most_pages}),
      .positions = sent.narrow(0, rows, rows)};
  const ModelConfig& config = model.config();
  std::optional<FlashInferTiles> tiles;  // unset: our own attention
  if (UsesFlashInfer(config, model.compute(), FlashInferTileOf(counted),
                     device->stream().device())) {
    tiles = PromptTiles(counted, most_pages, config.num_heads / config.num_kv_heads,
                        [&](const at::Tensor& host) { return device->Send(host); });
  }
  const TransformerWeights& weights = model.weights();
  const at::Tensor hidden = RunFusedLayers(
      model, cache->memory(), FusedEmbed(sent.narrow(0, 0, rows), weights.Embedding()),
      FusedRopeTable(on_device.positions, weights.rope(), config.rope.magnitude), on_device,
      [&](const at::Tensor& queries, const KvPages::Layer& kv) {
        return tiles.has_value()
                   ? FlashInferAttend(queries, kv.keys, kv.values, on_device.pages_of, *tiles)
                   : FusedPagedAttention(queries, kv.keys, kv.values, on_device);
      });
  return hidden.narrow(0, 0, count);
}

}  // namespace reckon
