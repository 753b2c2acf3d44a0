#include "common/model/kernels/cpu/cpu_features.h"

namespace reckon {

const CpuFeatures& CpuFeatures::OfThisCpu() {
  static const CpuFeatures features = [] {
    CpuFeatures out;
    out.avx512f = __builtin_cpu_supports("avx512f");
    out.avx512_bf16 = out.avx512f && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512bf16");
    return out;
  }();
  return features;
}

}  // namespace reckon
