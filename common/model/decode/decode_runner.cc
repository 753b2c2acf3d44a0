#include "common/model/decode/decode_runner.h"

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "common/model/decode/fused_layers.h"
#include "common/model/kernels/cuda/flash_infer.h"
#include "common/model/kernels/cuda/fused_ops.h"
#include "common/model/kernels/interface.h"
#include "common/model/kernels/torch/row_tiles.h"
#include "common/model/kernels/torch/torch_ops.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

constexpr int64_t kTokenBytes = sizeof(DeviceToken);

}  // namespace

int64_t DecodeRunner::BucketFor(int64_t rows) {
  // Idle rows of a bucket fill the tiles of its products.
  if (RowTile() > 0) return WithWholeTiles(rows);
  int64_t bucket = 1;
  // From 16 on in steps of a quarter of the power of two below.
  while (bucket < rows && bucket < 16) bucket *= 2;
  int64_t step = bucket / 4;
  while (bucket < rows) {
    bucket += step;
    if (bucket == 8 * step) step *= 2;
  }
  return bucket;
}

DecodeRunner::DecodeRunner(std::shared_ptr<const Transformer> model, std::shared_ptr<KvCache> cache,
                           std::shared_ptr<DecodeBatch> batch, std::shared_ptr<StepDevice> device)
    : model_(std::move(model)),
      cache_(std::move(cache)),
      batch_(std::move(batch)),
      device_(std::move(device)) {
  CHECK(HasFusedLayers(model_->config()));
  const int64_t bytes = batch_->most_rows() * kTokenBytes;
  drawn_ = at::zeros({bytes}, at::TensorOptions(at::kByte).device(device_->stream().device()));
  const c10::Device on = device_->stream().device();
  if (UsesFlashInfer(model_->config(), model_->compute(), kFlashInferStepTile, on)) {
    flash_infer_ = StepTiles(batch_->most_rows(), batch_->slots().slot_pages.size(1), on);
  }
  for (int64_t i = 0; i <= kAhead; ++i) {
    ring_.push_back(device_->NewHostTensor({bytes}, at::kByte));
  }
}

void DecodeRunner::Start(absl::Span<const DecodeRow> rows) {
  CHECK_LE(started(), kAhead);
  const int64_t count = static_cast<int64_t>(rows.size());
  const int64_t bucket = std::min(BucketFor(count), batch_->most_rows());
  batch_->Place(rows, bucket);
  std::unique_ptr<StepGraph>& graph = graphs_[bucket];
  if (graph == nullptr) graph = device_->NewGraph();
  graph->Run([&] { Launch(bucket); });
  device_->Fetch(drawn_.narrow(0, 0, count * kTokenBytes),
                 ring_[next_place_].narrow(0, 0, count * kTokenBytes), next_place_);
  started_.push_back({next_place_, count});
  next_place_ = (next_place_ + 1) % static_cast<int64_t>(ring_.size());
}

absl::StatusOr<std::vector<DrawnToken>> DecodeRunner::Finish() {
  CHECK(!started_.empty());
  const Started step = started_.front();
  started_.pop_front();
  device_->Await(step.place);
  const auto* drawn = static_cast<const DeviceToken*>(ring_[step.place].const_data_ptr());
  std::vector<DrawnToken> out(step.rows);
  bool faulty = false;
  for (int64_t i = 0; i < step.rows; ++i) {
    faulty |= drawn[i].faulty != 0;
    out[i] = {static_cast<uint32_t>(drawn[i].token), drawn[i].logprob};
  }
  if (faulty) return absl::DataLossError("the model's logits are not finite numbers");
  return out;
}

void DecodeRunner::Launch(int64_t rows) {
  const TransformerWeights& weights = model_->weights();
  const ModelConfig& c = model_->config();
  const at::Tensor slot_of = batch_->slot_of(rows);
  const StepRows step = FusedBeginStep(batch_->slots(), slot_of, weights.rope(), c.rope.magnitude);
  std::optional<FlashInferTiles> tiles = flash_infer_;
  if (tiles.has_value()) tiles->last_tokens = LastTokensOf(step.rows);
  const auto attend = [&](const at::Tensor& queries, const KvPages::Layer& kv) {
    return tiles.has_value()
               ? FlashInferAttend(queries, kv.keys, kv.values, step.rows.pages_of, *tiles)
               : FusedPagedAttention(queries, kv.keys, kv.values, step.rows);
  };
  const at::Tensor hidden =
      RunFusedLayers(*model_, cache_->memory(), FusedEmbed(step.tokens, weights.Embedding()),
                     step.table, step.rows, attend);
  FusedDraw(TorchOps().HeadLogits(hidden, weights.Head()), static_cast<int64_t>(c.gaps.size()),
            step.draws, drawn_);
  FusedEndStep(batch_->slots(), slot_of, drawn_);
}

}  // namespace reckon
