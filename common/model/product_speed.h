#ifndef RECKON_COMMON_MODEL_PRODUCT_SPEED_H_
#define RECKON_COMMON_MODEL_PRODUCT_SPEED_H_

#include <cstdint>

#include "common/model/config.h"
#include "common/model/kernels/dtype.h"

namespace reckon {

// What a benchmark divides its speed by: how fast this machine multiplies matrices just now, by the
// CPU kernels on all compute threads, and how many multiplications a token of a model needs.

// Operations (a product and a sum are two) a second of a product of [rows, k] and [k, n], the
// fastest of several within half a second.
double ProductSpeed(Dtype dtype, int64_t rows, int64_t k, int64_t n);

// Elements of the weights that each row is multiplied by: of the layers, and of the head. A forward
// pass needs two operations for each, and a backward pass four.
int64_t LayerProducts(const ModelConfig& config);
int64_t HeadProducts(const ModelConfig& config);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_PRODUCT_SPEED_H_
