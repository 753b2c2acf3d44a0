#ifndef RECKON_COMMON_MODEL_KERNELS_CPU_GEMM_AVX512_H_
#define RECKON_COMMON_MODEL_KERNELS_CPU_GEMM_AVX512_H_

#include "common/model/kernels/cpu/gemm_kernels.h"

namespace reckon {

// The panel kernels of gemm_kernels.h by AVX-512 intrinsics. Call them only where
// CpuFeatures::OfThisCpu() has what they need.

// Needs avx512f.
void PanelFp32Avx512(const PanelProduct<float>& product);
// Needs avx512_bf16. vdpbf16ps multiplies a pair of bf16 numbers of A's row with pairs of 16
// columns of B, and adds both products to fp32 sums.
void PanelBf16Avx512(const PanelProduct<uint16_t>& product);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CPU_GEMM_AVX512_H_
