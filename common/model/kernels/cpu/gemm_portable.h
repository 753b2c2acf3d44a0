#ifndef RECKON_COMMON_MODEL_KERNELS_CPU_GEMM_PORTABLE_H_
#define RECKON_COMMON_MODEL_KERNELS_CPU_GEMM_PORTABLE_H_

#include <cstdint>

namespace reckon {

// The panel kernels of gemm_kernels.h in plain C++, for every CPU. The sums have the order of the
// AVX-512 kernels, but products of bf16 may round differently: runs on CPUs of different kinds need
// not agree in the last bit. They fetch nothing ahead: `next` is not used.
void PanelBf16Portable(const uint16_t* a, int64_t m, int64_t lda, const uint16_t* panel, int64_t k2,
                       float* c, int64_t ldc, bool accumulate, const void* next);
void PanelFp32Portable(const float* a, int64_t m, int64_t lda, const float* panel, int64_t k,
                       float* c, int64_t ldc, bool accumulate, const void* next);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CPU_GEMM_PORTABLE_H_
