#ifndef RECKON_COMMON_MODEL_KERNELS_CPU_GEMM_AVX512_H_
#define RECKON_COMMON_MODEL_KERNELS_CPU_GEMM_AVX512_H_

#include <cstdint>

namespace reckon {

// The panel kernels of gemm_kernels.h by AVX-512 intrinsics. Call them only where
// CpuFeatures::OfThisCpu() has what they need.

// Needs avx512f.
void PanelFp32Avx512(const float* a, int64_t m, int64_t lda, const float* panel, int64_t k,
                     float* c, int64_t ldc, bool accumulate, const void* next);
// Needs avx512_bf16. vdpbf16ps multiplies a pair of bf16 numbers of A's row with pairs of 16
// columns of B, and adds both products to fp32 sums.
void PanelBf16Avx512(const uint16_t* a, int64_t m, int64_t lda, const uint16_t* panel, int64_t k2,
                     float* c, int64_t ldc, bool accumulate, const void* next);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CPU_GEMM_AVX512_H_
