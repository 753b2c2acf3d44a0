#ifndef RECKON_COMMON_MODEL_DECODE_DECODE_RUNNER_H_
#define RECKON_COMMON_MODEL_DECODE_DECODE_RUNNER_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/model/decode/decode_batch.h"
#include "common/model/decode/step_device.h"
#include "common/model/kernels/cuda/flash_infer_attention.h"
#include "common/model/kv_cache.h"
#include "common/model/sampling.h"
#include "common/model/transformer.h"

namespace reckon {

// Decodes with one weight version by the kernels of kernels/cuda: one token of many sequences a
// step, from the embedding to the draw, all on the device. The host gives the rows and, one step
// later, takes tokens and log-probabilities; nothing else leaves the device.
//
//   Start(rows)  DecodeBatch::Place: what has changed goes to the device
//                one graph of the smallest bucket that holds the rows:
//                  BeginStep, embedding, the layers (fused_layers.h), head, draw, EndStep
//                results -> a place of the ring, in host memory
//   Finish()     awaits the oldest place
//
// At most kAhead steps are under way beyond the one that is awaited. Rows beside a row change none
// of its own kernels' results; LibTorch's products promise that only for one number of rows, which
// they have with a row tile (kernels/torch/row_tiles.h). A bucket is then whole tiles.
//
// A graph is recorded when a version runs a bucket for the second time; the first runs as it is.
// For models that HasFusedLayers. Owned by a model runner. One thread, with the device's stream as
// the current one. Throws what LibTorch throws.
class DecodeRunner {
 public:
  static constexpr int64_t kAhead = 1;

  // Rows of the step that runs so many: 1, 2, 4, 8, 16, then at most a quarter more than needed; or
  // whole tiles.
  static int64_t BucketFor(int64_t rows);

  // The batch, which may be other runners' too, must not have steps of theirs under way.
  DecodeRunner(std::shared_ptr<const Transformer> model, std::shared_ptr<KvCache> cache,
               std::shared_ptr<DecodeBatch> batch, std::shared_ptr<StepDevice> device);

  void Start(absl::Span<const DecodeRow> rows);
  // One token for each row of the oldest step. DATA_LOSS: a logit is inf or nan.
  absl::StatusOr<std::vector<DrawnToken>> Finish();
  int64_t started() const { return static_cast<int64_t>(started_.size()); }

 private:
  struct Started {
    int64_t place;
    int64_t rows;
  };
  // The launches of a step of `rows` rows.
  void Launch(int64_t rows);

  const std::shared_ptr<const Transformer> model_;
  const std::shared_ptr<KvCache> cache_;
  const std::shared_ptr<DecodeBatch> batch_;
  const std::shared_ptr<StepDevice> device_;
  std::map<int64_t, std::unique_ptr<StepGraph>> graphs_;  // by rows
  std::optional<FlashInferTiles> flash_infer_;            // unset: our own attention
  at::Tensor drawn_;              // on the device: bytes [capacity * sizeof(DeviceToken)]
  std::vector<at::Tensor> ring_;  // on the host: the same, kAhead + 1 times
  std::deque<Started> started_;   // oldest first
  int64_t next_place_ = 0;
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_DECODE_DECODE_RUNNER_H_
