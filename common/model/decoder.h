#ifndef RECKON_COMMON_MODEL_DECODER_H_
#define RECKON_COMMON_MODEL_DECODER_H_

#include "ATen/core/Tensor.h"
#include "common/model/decoder_weights.h"
#include "common/model/transformer.h"

namespace reckon {

// The layers of `weights` and the final norm, over the residual stream x [rows, hidden] fp32 in
// front of their first one -> [rows, hidden]. Without grad x is written to. `tap` as in
// Transformer::Forward.
at::Tensor RunLayers(const DecoderWeights& weights, at::Tensor x, const at::Tensor& positions,
                     AttentionSource& attention, Tap* tap = nullptr);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_DECODER_H_
