#ifndef RECKON_TESTS_SUPPORT_CUDA_ON_CPU_INCLUDE_CUDA_BF16_H_
#define RECKON_TESTS_SUPPORT_CUDA_ON_CPU_INCLUDE_CUDA_BF16_H_

#include <cmath>
#include <cstdint>

#include "common/model/kernels/dtype.h"
#include "cuda_runtime_api.h"

struct __nv_bfloat16 {
  uint16_t bits;
};
inline float __bfloat162float(__nv_bfloat16 x) { return reckon::FromBf16(x.bits); }
inline __nv_bfloat16 __float2bfloat16(float x) {
  return {std::isnan(x) ? uint16_t{0x7fff} : reckon::ToBf16(x)};
}

#endif  // RECKON_TESTS_SUPPORT_CUDA_ON_CPU_INCLUDE_CUDA_BF16_H_
