#ifndef RECKON_COMMON_MODEL_DECODE_FUSED_PASS_H_
#define RECKON_COMMON_MODEL_DECODE_FUSED_PASS_H_

#include <cstdint>
#include <vector>

#include "ATen/core/Tensor.h"
#include "common/model/decode/step_device.h"
#include "common/model/kv_cache.h"
#include "common/model/transformer.h"

namespace reckon {

// A forward pass over rows that the host names, as those of prompts, by the layers that decode
// steps have (fused_layers.h): what Transformer::Forward computes over KvCache::BeginPass.
//
//   host    tokens, positions and pages of the rows, in one copy
//   device  RoPE table | embedding | layers | final norm -> hidden [rows, hidden]
//
// tokens: one a row, which is appended to sequences[row]; rows of one sequence are adjacent. With a
// row tile, idle rows fill the last one. Models that HasFusedLayers. The device's stream is the
// current one. Throws what LibTorch throws; the sequences then hold an unknown number of tokens.
at::Tensor RunFusedPass(const Transformer& model, KvCache* cache, StepDevice* device,
                        const std::vector<int32_t>& tokens,
                        const std::vector<KvCache::SequenceId>& sequences);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_DECODE_FUSED_PASS_H_
