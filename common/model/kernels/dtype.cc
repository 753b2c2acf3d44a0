#include "common/model/kernels/dtype.h"

#include "common/model/kernels/cpu/cpu_features.h"

namespace reckon {

RECKON_CLONES void ToBf16(const float* x, int64_t n, uint16_t* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = ToBf16(x[i]);
}

}  // namespace reckon
