#include "common/model/kernels/dtype.h"

#include "common/model/kernels/cpu/cpu_features.h"

namespace reckon {

RECKON_CLONES void ToBf16(const float* x, int64_t n, uint16_t* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = ToBf16(x[i]);
}

RECKON_CLONES void ToBf16(const float* x, int64_t rows, int64_t n, int64_t stride, uint16_t* out,
                          int64_t out_stride) {
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < n; ++i) out[row * out_stride + i] = ToBf16(x[row * stride + i]);
  }
}

}  // namespace reckon
