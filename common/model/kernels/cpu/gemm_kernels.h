#ifndef RECKON_COMMON_MODEL_KERNELS_CPU_GEMM_KERNELS_H_
#define RECKON_COMMON_MODEL_KERNELS_CPU_GEMM_KERNELS_H_

#include <cstdint>

#include "common/model/kernels/cpu/cpu_features.h"

namespace reckon {

// The inner loops of Gemm: m rows of A times one packed panel of B (packed_matrix.h).
//
//   c [m, 32] = a [m, k] * panel [k, 32],   or += where `accumulate`
//
// lda and ldc are row strides in elements; for bf16 the length is given as k2 = k / 2 pairs.
//
// Every kernel keeps this rule, from which Gemm's row invariance follows: c[i][j] is one sum over
// p = 0, 1, 2, .. in that order, beginning at zero, by the same instructions for every m and i;
// with `accumulate` the old c[i][j] is added once, at the end. A kernel may work on several rows at
// a time, for the sake of its registers, but never adds across rows or splits a sum over p.
//
// `next` is a panel of the same length that the caller's thread will probably need after this one,
// or null. A kernel may fetch it into the caches while it computes; it does not read it.
using Bf16PanelKernel = void (*)(const uint16_t* a, int64_t m, int64_t lda, const uint16_t* panel,
                                 int64_t k2, float* c, int64_t ldc, bool accumulate,
                                 const void* next);
using Fp32PanelKernel = void (*)(const float* a, int64_t m, int64_t lda, const float* panel,
                                 int64_t k, float* c, int64_t ldc, bool accumulate,
                                 const void* next);

struct GemmKernels {
  Bf16PanelKernel bf16;
  Fp32PanelKernel fp32;
};

// The fastest kernels that a CPU with these features can run.
GemmKernels ChooseGemmKernels(const CpuFeatures& cpu);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CPU_GEMM_KERNELS_H_
